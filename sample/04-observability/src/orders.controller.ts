import { Controller, Param, ParseIntPipe, Post, Query } from '@nestjs/common';
import { OrdersService } from './orders.service.js';

@Controller('orders')
export class OrdersController {
  constructor(private readonly orders: OrdersService) {}

  /** Packs an order, for so many milliseconds. */
  @Post(':id')
  pack(@Param('id') id: string, @Query('for', ParseIntPipe) milliseconds: number): Promise<string> {
    return this.orders.pack(id, milliseconds);
  }
}

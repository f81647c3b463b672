import { Body, Controller, Get, Param, ParseIntPipe, Post, Put } from '@nestjs/common';
import { OrdersService } from './orders.service.js';
import { type Sale, Warehouse } from './warehouse.js';

@Controller('products/:product')
export class OrdersController {
  constructor(
    private readonly orders: OrdersService,
    private readonly warehouse: Warehouse,
  ) {}

  @Put('stock')
  async fill(@Param('product') product: string, @Body('stock', ParseIntPipe) stock: number): Promise<void> {
    await this.warehouse.fill(product, stock);
  }

  @Post('orders')
  place(@Param('product') product: string): Promise<Sale> {
    return this.orders.place(product);
  }

  @Post('orders-without-lock')
  placeWithoutLock(@Param('product') product: string): Promise<Sale> {
    return this.orders.placeWithoutLock(product);
  }

  @Get()
  async look(@Param('product') product: string): Promise<{ stock: number; sold: number }> {
    return { stock: await this.warehouse.stockOf(product), sold: (await this.warehouse.salesOf(product)).length };
  }
}

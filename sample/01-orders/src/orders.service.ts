import { ConflictException, Injectable } from '@nestjs/common';
import { Locked } from 'nestjs-distributed-lock';
import { type Sale, Warehouse } from './warehouse.js';

@Injectable()
export class OrdersService {
  constructor(private readonly warehouse: Warehouse) {}

  /** Once at a time for each product, in all processes of the shop. */
  @Locked('product:<product>', { wait: '30s' })
  async place(product: string): Promise<Sale> {
    return this.placeWithoutLock(product);
  }

  /** Sells units that are not there: two orders read the same stock, and both take its last unit. */
  async placeWithoutLock(product: string): Promise<Sale> {
    const sale = await this.warehouse.takeOne(product);
    if (sale === undefined) throw new ConflictException(`${product} is sold out`);
    return sale;
  }
}

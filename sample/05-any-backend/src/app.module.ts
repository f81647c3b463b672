import { Module } from '@nestjs/common';
import { DistributedLockModule } from 'nestjs-distributed-lock';
import { OrdersController } from '../../01-orders/src/orders.controller.js';
import { OrdersService } from '../../01-orders/src/orders.service.js';
import { Warehouse } from '../../01-orders/src/warehouse.js';
import { backendOf } from './backend.js';

/** The shop of 01-orders, as it is: only the module says where its locks are. */
@Module({
  imports: [DistributedLockModule.forRootAsync({ useFactory: () => ({ backend: backendOf(process.env) }) })],
  controllers: [OrdersController],
  providers: [OrdersService, Warehouse],
})
export class AppModule {}

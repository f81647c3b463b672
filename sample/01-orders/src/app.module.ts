import { Module } from '@nestjs/common';
import { DistributedLockModule, memory } from 'nestjs-distributed-lock';
import { redis } from 'nestjs-distributed-lock/redis';
import { OrdersController } from './orders.controller.js';
import { OrdersService } from './orders.service.js';
import { Warehouse } from './warehouse.js';

const url = process.env['REDIS_URL'];

@Module({
  imports: [DistributedLockModule.forRoot({ backend: url ? redis({ url }) : memory() })],
  controllers: [OrdersController],
  providers: [OrdersService, Warehouse],
})
export class AppModule {}

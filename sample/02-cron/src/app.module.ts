import { Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { DistributedLockModule } from 'nestjs-distributed-lock';
import { redis } from 'nestjs-distributed-lock/redis';
import { ReportsService } from './reports.service.js';

@Module({
  imports: [
    DistributedLockModule.forRoot({ backend: redis({ url: process.env['REDIS_URL'] ?? 'redis://localhost:6379' }) }),
    ScheduleModule.forRoot(),
  ],
  providers: [ReportsService],
})
export class AppModule {}

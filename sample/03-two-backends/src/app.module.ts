import { Module } from '@nestjs/common';
import { DistributedLockModule } from 'nestjs-distributed-lock';
import { etcd } from 'nestjs-distributed-lock/etcd';
import { redis } from 'nestjs-distributed-lock/redis';
import { AccountsService } from './accounts.service.js';
import { BankController } from './bank.controller.js';
import { etcdProvider, hosts } from './etcd.provider.js';
import { RatesService } from './rates.service.js';
import { ReportService } from './report.service.js';

@Module({
  imports: [
    DistributedLockModule.forRoot({
      backends: {
        quick: redis({ url: process.env['REDIS_URL'] ?? 'redis://localhost' }),
        strict: etcd({ hosts }),
      },
      default: 'quick',
    }),
  ],
  controllers: [BankController],
  providers: [etcdProvider, AccountsService, RatesService, ReportService],
})
export class AppModule {}

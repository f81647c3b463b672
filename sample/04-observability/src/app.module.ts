import { Module } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { DistributedLockModule } from 'nestjs-distributed-lock';
import { LockAdminModule } from 'nestjs-distributed-lock/admin';
import { otel } from 'nestjs-distributed-lock/opentelemetry';
import { LockMetricsModule } from 'nestjs-distributed-lock/prometheus';
import { redis } from 'nestjs-distributed-lock/redis';
import { LockHealthIndicator } from 'nestjs-distributed-lock/terminus';
import { HealthController } from './health.controller.js';
import { MetricsController } from './metrics.controller.js';
import { OperatorGuard } from './operator.guard.js';
import { OrdersController } from './orders.controller.js';
import { OrdersService } from './orders.service.js';

@Module({
  imports: [
    DistributedLockModule.forRoot({
      backend: redis({ url: process.env['REDIS_URL'] ?? 'redis://localhost:6379' }),
      defaults: { ttl: Number(process.env['LOCK_TTL_MS'] ?? 15_000) },
      // Traces. The metrics are Prometheus' here.
      instrumentation: otel({ meterProvider: false }),
    }),
    // Metrics.
    LockMetricsModule.forRoot(),
    // The page.
    LockAdminModule.forRoot({ path: 'ops/locks', guards: [OperatorGuard], allowForceRelease: true }),
    // Health.
    TerminusModule,
  ],
  controllers: [HealthController, MetricsController, OrdersController],
  providers: [LockHealthIndicator, OrdersService],
})
export class AppModule {}

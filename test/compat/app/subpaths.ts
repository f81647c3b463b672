/** Type-checked only: every subpath with its public types. */
import type { DynamicModule } from '@nestjs/common';
import { createClient } from '@redis/client';
import { DistributedLockModule, InjectLockService, type LockService } from 'nestjs-distributed-lock';
import { LockMetricsModule } from 'nestjs-distributed-lock/prometheus';
import { otel } from 'nestjs-distributed-lock/opentelemetry';
import { etcd } from 'nestjs-distributed-lock/etcd';
import { redis } from 'nestjs-distributed-lock/redis';
import { quorum, redlock } from 'nestjs-distributed-lock/redlock';
import * as testing from 'nestjs-distributed-lock/testing';
import { Redis } from 'ioredis';

export const lockModule = (): DynamicModule =>
  DistributedLockModule.forRoot({
    backends: {
      url: redis({ url: 'redis://127.0.0.1:6379' }),
      client: redis({ client: new Redis() }),
      nodeRedis: redis({ client: createClient() }),
      redlock: redlock({ clients: [new Redis(), createClient(), new Redis()] }),
      quorum: quorum([redis({ url: 'redis://127.0.0.1:6379' }), redis({ client: new Redis() })]),
      etcd: etcd({ hosts: 'http://127.0.0.1:2379' }),
    },
    default: 'url',
    instrumentation: otel({ keys: true }),
  });

export const metricsModule = (): DynamicModule => LockMetricsModule.forRoot({ prefix: 'shop_lock_' });

export class Reports {
  constructor(@InjectLockService('etcd') readonly locks: LockService) {}
}

export type Testing = keyof typeof testing;

/** Every subpath of the monitoring, in one application, by `require`. */
require('reflect-metadata');
const { Module } = require('@nestjs/common');
const { NestFactory } = require('@nestjs/core');
const { TerminusModule } = require('@nestjs/terminus');
const { DistributedLockModule, LockService, memory } = require('nestjs-distributed-lock');
const { otel } = require('nestjs-distributed-lock/opentelemetry');
const { LockMetricsModule } = require('nestjs-distributed-lock/prometheus');
const { LockHealthIndicator } = require('nestjs-distributed-lock/terminus');
const { register } = require('prom-client');

class AppModule {}
Module({
  imports: [
    TerminusModule,
    DistributedLockModule.forRoot({ backend: memory(), instrumentation: otel() }),
    LockMetricsModule.forRoot(),
  ],
  providers: [LockHealthIndicator],
})(AppModule);

async function main() {
  const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
  await app.get(LockService).withLock('order:7', () => undefined, { name: 'order:<id>' });
  const metrics = await register.metrics();
  const health = await app.get(LockHealthIndicator).isHealthy('locks');
  await app.close();
  const isCounted = metrics.includes(
    'lock_acquisitions_total{name="order:<id>",backend="default",outcome="acquired"} 1',
  );
  process.stdout.write(`${isCounted ? 'counted' : metrics}, ${health.locks.status}\n`);
}

void main();

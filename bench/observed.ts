/**
 * What it costs to be watched: acquire + release without, with metrics, and with metrics and a span for each wait and hold, in turns within
 * one run, in memory and on one Redis. `npm run bench -- --observed`. Beside them the floor: unwatched, and two spans of the SDK by hand. With
 * `BENCH_BEFORE=<another built checkout>` also that one, unwatched.
 *
 * The spans are all sampled and go through the SDK's own `BatchSpanProcessor` to an exporter that drops them.
 */
import { loadavg } from 'node:os';
import { Module, type DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { context } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  AlwaysOffSampler,
  BasicTracerProvider,
  BatchSpanProcessor,
  type ReadableSpan,
  type Sampler,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base';
import { Registry } from 'prom-client';
import type { LockBackend } from '../lib/backends/backend.js';
import { startRedis } from '../test/servers/redis.js';
import { buildIfStale, importBuilt } from './built.js';
import { median, percentile } from './report/statistics.js';
import { markdown, round } from './report/table.js';

/** Pairs measured of one kind before it is the turn of the next, and how many of these are for the processor's caches. */
const BURST = 60;
const COLD = 10;
const WARM_UP = 150;

const beforeRoot = process.env['BENCH_BEFORE'];

interface Options {
  readonly rounds?: number | undefined;
}

@Module({})
class Application {}

class Dropped implements SpanExporter {
  export(_spans: ReadableSpan[], done: (result: { code: number }) => void): void {
    done({ code: 0 });
  }
  shutdown(): Promise<void> {
    return Promise.resolve();
  }
}

interface Kind {
  readonly name: string;
  readonly pair: (key: string) => Promise<unknown>;
  readonly close: () => Promise<void>;
}

export async function run({ rounds = 400 }: Options = {}): Promise<void> {
  buildIfStale();
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const { memory } = await importBuilt<typeof import('nestjs-distributed-lock')>('index.js');
  const { redis } = await importBuilt<typeof import('nestjs-distributed-lock/redis')>('backends/redis/index.js');
  await using server = await startRedis({ own: true, args: ['--appendonly', 'no'] });
  const rows: string[][] = [];
  const client = { url: server.url };
  for (const [title, backend, before] of [
    ['memory', memory, beforeOf(async (old) => old.memory)],
    ['Redis', () => redis(client), beforeOf(async (_, oldRedis) => () => oldRedis.redis(client))],
  ] as const) {
    rows.push(...(await compare(title, backend, before, rounds)));
  }
  console.log(
    `Node ${process.version}, load ${loadavg()
      .map((load) => load.toFixed(1))
      .join(' ')}\n`,
  );
  console.log(markdown(['acquire + release', 'n', 'p50 µs', 'ratio', 'mean µs', 'ratio', 'p99 µs'], rows));
}

/** The backend as another checkout has it, if there is one. */
async function beforeOf(
  pick: (
    old: typeof import('nestjs-distributed-lock'),
    oldRedis: typeof import('nestjs-distributed-lock/redis'),
  ) => Promise<() => LockBackend>,
): Promise<(() => LockBackend) | undefined> {
  if (beforeRoot === undefined) return undefined;
  return pick(await importBuilt('index.js', beforeRoot), await importBuilt('backends/redis/index.js', beforeRoot));
}

/** What two spans cost whoever makes them. */
async function withBareSpans(kind: Kind): Promise<Kind> {
  const { tracer, shutdown } = tracing(undefined);
  const span = (name: string) => tracer.startSpan(name, { attributes: ATTRIBUTES }, context.active());
  return {
    name: kind.name,
    pair: async (key) => {
      const wait = span('acquire order:<id>');
      const hold = span('hold order:<id>');
      await kind.pair(key);
      wait.end();
      hold.end();
    },
    async close() {
      await kind.close();
      await shutdown();
    },
  };
}

async function compare(
  title: string,
  backend: () => LockBackend,
  before: Promise<(() => LockBackend) | undefined>,
  rounds: number,
): Promise<string[][]> {
  const old = await before;
  const kinds = [
    await open('without', backend, {}),
    await open('metrics', backend, { metrics: true }),
    await open('metrics, tracing, no span sampled', backend, { metrics: true, sampler: new AlwaysOffSampler() }),
    await open('metrics, tracing, all spans', backend, { metrics: true, sampler: undefined }),
    await withBareSpans(await open('without, and two bare spans of the SDK', backend, {})),
    ...(old === undefined ? [] : [await open('without, before', old, { from: beforeRoot })]),
  ];
  const taken = kinds.map(() => [] as number[]);
  for (let turn = -WARM_UP; turn < rounds; turn++) {
    for (let i = 0; i < kinds.length; i++) {
      const at = (i + Math.abs(turn)) % kinds.length;
      const { pair } = kinds[at]!;
      for (let n = 0; n < BURST; n++) {
        const start = performance.now();
        await pair(`order:${n}`);
        const microseconds = (performance.now() - start) * 1_000;
        if (turn >= 0 && n >= COLD) taken[at]!.push(microseconds);
      }
    }
  }
  for (const { close } of kinds) await close();
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [without] = taken;
  return kinds.map(({ name }, at) => {
    const values = taken[at]!;
    return [
      `${title}, ${name}`,
      `${values.length}`,
      round(median(values), 2),
      `×${round(median(values) / median(without!), 2)}`,
      round(mean(values), 2),
      `×${round(mean(values) / mean(without!), 2)}`,
      round(percentile(values, 0.99), 1),
    ];
  });
}

async function open(
  name: string,
  backend: () => LockBackend,
  {
    metrics,
    from,
    ...traced
  }: { readonly metrics?: boolean; readonly sampler?: Sampler | undefined; readonly from?: string | undefined },
): Promise<Kind> {
  const { DistributedLockModule, LockService } = await importBuilt<typeof import('nestjs-distributed-lock')>(
    'index.js',
    from,
  );
  const { LockMetricsModule } =
    await importBuilt<typeof import('nestjs-distributed-lock/prometheus')>('prometheus/index.js');
  const { otel } = await importBuilt<typeof import('nestjs-distributed-lock/opentelemetry')>('opentelemetry/index.js');
  const tracerProvider = 'sampler' in traced ? tracing(traced.sampler).provider : undefined;
  const imports: DynamicModule[] = [
    DistributedLockModule.forRoot({
      backend: backend(),
      shutdownGrace: 0,
      ...(tracerProvider && { instrumentation: otel({ tracerProvider, meterProvider: false }) }),
    }),
    ...(metrics ? [LockMetricsModule.forRoot({ registry: new Registry() })] : []),
  ];
  const app = await NestFactory.createApplicationContext({ module: Application, imports }, { logger: false });
  const locks = app.get(LockService);
  // Another checkout may not know the option.
  const options = from === undefined ? { name: 'order:<id>' } : {};
  return {
    name,
    pair: async (key) => (await locks.acquire(key, options)).release(),
    async close() {
      await app.close();
      await tracerProvider?.shutdown();
    },
  };
}

const ATTRIBUTES = {
  'lock.name': 'order:<id>',
  'lock.backend': 'default',
  'lock.system': 'redis',
  'lock.mode': 'exclusive',
};

function tracing(sampler: Sampler | undefined) {
  const provider = new BasicTracerProvider({
    ...(sampler && { sampler }),
    spanProcessors: [new BatchSpanProcessor(new Dropped(), { maxQueueSize: 100_000 })],
  });
  return { provider, tracer: provider.getTracer('bench'), shutdown: () => provider.shutdown() };
}

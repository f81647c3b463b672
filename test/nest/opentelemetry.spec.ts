import { Controller, Get, Injectable, Param } from '@nestjs/common';
import { context, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { DistributedLockModule, Locked, LockInterceptor, LockService, memory } from 'nestjs-distributed-lock';
import { otel, type OtelOptions } from 'nestjs-distributed-lock/opentelemetry';
import { from, lastValueFrom, map, Observable } from 'rxjs';
import { UseInterceptors } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { applicationWith, RecordingLogger } from './support/application.js';

const tracer = () => trace.getTracer('test');

@Injectable()
class Orders {
  @Locked('order:<id>')
  async place(id: string): Promise<string> {
    return tracer().startActiveSpan('work', async (span) => {
      await Promise.resolve();
      span.end();
      return id;
    });
  }

  @Locked('order:<id>')
  async again(id: string): Promise<string> {
    return tracer().startActiveSpan('outer work', async (span) => {
      const placed = await this.place(id);
      span.end();
      return placed;
    });
  }

  @Locked('stream:<id>')
  stream(id: string): Observable<string> {
    return from([id]).pipe(
      map((value) => {
        tracer().startSpan('streamed').end();
        return value;
      }),
    );
  }

  @Locked('steps:<id>')
  async *steps(id: string): AsyncGenerator<string> {
    for (const step of ['a', 'b']) {
      tracer().startSpan(`step ${step}`).end();
      yield id + step;
    }
  }
}

let exporter: InMemorySpanExporter;
let tracerProvider: BasicTracerProvider;
beforeAll(() => {
  exporter = new InMemorySpanExporter();
  tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  trace.setGlobalTracerProvider(tracerProvider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
});
afterAll(async () => {
  trace.disable();
  context.disable();
  await tracerProvider.shutdown();
});

async function start(options: OtelOptions = {}) {
  exporter.reset();
  const app = await applicationWith({
    imports: [DistributedLockModule.forRoot({ backend: memory(), shutdownGrace: 0, instrumentation: otel(options) })],
    providers: [Orders],
  });
  return app;
}

/** The finished spans as a tree of names, children below their parents. */
function tree(): string[] {
  const spans = exporter.getFinishedSpans();
  const children = (parent: string | undefined, depth: number): string[] =>
    spans
      .filter((span) => span.parentSpanContext?.spanId === parent)
      .sort((a, b) => a.startTime[0] - b.startTime[0] || a.startTime[1] - b.startTime[1])
      .flatMap((span) => ['  '.repeat(depth) + span.name, ...children(span.spanContext().spanId, depth + 1)]);
  return children(undefined, 0);
}

const spanOf = (name: string) => {
  const span = exporter.getFinishedSpans().find((each) => each.name === name);
  if (!span) throw new Error(`no span ${name} among ${tree().join(', ')}`);
  return span;
};

describe('otel()', () => {
  it('has a span for the wait and one for the hold, which is the parent of the work', async () => {
    const app = await start();
    await tracer().startActiveSpan('request', async (span) => {
      await app.get(Orders).place('7');
      span.end();
    });
    expect(tree()).toEqual(['request', '  acquire order:<id>', '  hold order:<id>', '    work']);
    expect(spanOf('acquire order:<id>').attributes).toEqual({
      'lock.backend': 'default',
      'lock.system': 'memory',
      'lock.mode': 'exclusive',
      'lock.name': 'order:<id>',
      'code.function.name': 'Orders.place',
      'lock.outcome': 'acquired',
      'lock.contended': false,
    });
  });

  it('of work that enters a lock which it has, keeps the tree as it was called', async () => {
    const app = await start();
    await app.get(Orders).again('7');
    expect(tree()).toEqual(['acquire order:<id>', 'hold order:<id>', '  outer work', '    work']);
  });

  it('is there for streams and generators too', async () => {
    const app = await start();
    await lastValueFrom(app.get(Orders).stream('7'));
    for await (const step of app.get(Orders).steps('7')) expect(step).toMatch(/^7/);
    expect(tree()).toEqual([
      ...['acquire stream:<id>', 'hold stream:<id>', '  streamed'],
      ...['acquire steps:<id>', 'hold steps:<id>', '  step a', '  step b'],
    ]);
  });

  it('by hand has both spans, and work by withLock is below the hold', async () => {
    const app = await start();
    const locks = app.get(LockService);
    await (await locks.acquire('key', { name: 'by hand' })).release();
    await locks.withLock('key', () => tracer().startSpan('work').end());
    expect(tree()).toEqual(['acquire by hand', 'hold by hand', 'acquire lock', 'hold lock', '  work']);
  });

  it('of one that waits, the wait lasts until it has the lock; concurrent calls keep their own parents', async () => {
    const app = await start();
    const requests = ['A', 'B', 'C'].map((name) =>
      tracer().startActiveSpan(`request ${name}`, async (span) => {
        await app.get(Orders).place('7');
        span.end();
      }),
    );
    await Promise.all(requests);
    const below = ['  acquire order:<id>', '  hold order:<id>', '    work'];
    expect(tree()).toEqual(['A', 'B', 'C'].flatMap((name) => [`request ${name}`, ...below]));
    const waited = exporter.getFinishedSpans().filter(({ attributes }) => attributes['lock.contended'] === true);
    expect(waited).toHaveLength(2);
    expect(waited[0]?.events.map(({ name }) => name)).toEqual(['waiting']);
  });

  it('a busy key, a failure and a loss are errors by their reason, and no span tells a key', async () => {
    const app = await start();
    const locks = app.get(LockService);
    const held = await locks.acquire('secret:1', { name: 'holder' });
    await expect(locks.acquire('secret:1', { name: 'busy', wait: 10 })).rejects.toThrow();
    await locks.tryAcquire('secret:1', { name: 'skipped' });
    const abort = new AbortController();
    const aborted = locks.acquire('secret:1', { name: 'aborted', signal: abort.signal });
    abort.abort(new Error('secret:1 at 10.0.0.1'));
    await expect(aborted).rejects.toThrow();
    await locks.forceRelease('secret:1');
    expect(held.held).toBe(false);
    expect(spanOf('acquire busy')).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'error.type': 'timeout', 'lock.outcome': 'timeout' },
    });
    expect(spanOf('acquire skipped').status.code).toBe(SpanStatusCode.UNSET);
    expect(spanOf('acquire aborted').attributes['error.type']).toBe('aborted');
    expect(spanOf('hold holder')).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'error.type': 'forced' },
    });
    const all = exporter
      .getFinishedSpans()
      .map(({ name, attributes, events, status }) => ({ name, attributes, events, status }));
    expect(JSON.stringify(all)).not.toMatch(/secret|10\.0\.0\.1/);
  });

  it('tells keys where it is asked to', async () => {
    const app = await start({ keys: true });
    await app.get(LockService).withLock(['b', 'a'], () => undefined, { name: 'two' });
    expect(spanOf('hold two').attributes['lock.keys']).toEqual(['a', 'b']);
  });

  it('records nothing in a trace that is not sampled, and refuses an option that it does not have', async () => {
    expect(() => otel({ key: true } as object)).toThrow(/`key` is not an option/);
    const app = await start({ tracerProvider: false });
    await app.get(Orders).place('7');
    expect(tree()).toEqual(['work']);
  });

  it('has the same metrics as Prometheus gets', async () => {
    const metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const reader = new PeriodicExportingMetricReader({ exporter: metricExporter, exportIntervalMillis: 60_000 });
    const meterProvider = new MeterProvider({ readers: [reader] });
    onTestFinished(() => meterProvider.shutdown());
    const app = await start({ meterProvider });
    const locks = app.get(LockService);
    for (let i = 0; i < 10; i++) await app.get(Orders).place(`${i}`);
    const lock = await locks.acquire('key', { name: 'held' });
    await locks.tryAcquire('key', { name: 'held' });
    await reader.forceFlush();
    const points = Object.fromEntries(
      metricExporter
        .getMetrics()
        .flatMap(({ scopeMetrics }) => scopeMetrics)
        .flatMap(({ metrics }) => metrics)
        .map(({ descriptor, dataPoints }) => [
          descriptor.name,
          dataPoints.map(({ attributes, value }) => [
            attributes['lock.name'],
            attributes['lock.outcome'],
            typeof value === 'number' ? value : value.count,
          ]),
        ]),
    );
    expect(points['lock.acquisitions']).toEqual([
      ['order:<id>', 'acquired', 10],
      ['held', 'acquired', 1],
      ['held', 'skipped', 1],
    ]);
    expect(points['lock.held']).toEqual([
      ['order:<id>', undefined, 0],
      ['held', undefined, 1],
    ]);
    expect(points['lock.wait.duration']).toEqual([
      ['order:<id>', undefined, 10],
      ['held', undefined, 1],
    ]);
    expect(points['lock.hold.duration']).toEqual([['order:<id>', undefined, 10]]);
    expect(points['lock.backend.up']).toEqual([[undefined, undefined, 1]]);
    await lock.release();
  });

  it.each([
    ['Express', () => new ExpressAdapter()],
    ['Fastify', () => new FastifyAdapter()],
  ] as const)('is one line in an application on %s, handlers with LockInterceptor included', async (_, adapter) => {
    @Controller()
    class Shop {
      @Get(':id')
      @UseInterceptors(LockInterceptor('route:<id>'))
      get(@Param('id') id: string) {
        tracer().startSpan('handler').end();
        return id;
      }
    }
    exporter.reset();
    const module = await Test.createTestingModule({
      imports: [DistributedLockModule.forRoot({ backend: memory(), instrumentation: otel() })],
      controllers: [Shop],
    })
      .setLogger(new RecordingLogger())
      .compile();
    const app = module.createNestApplication(adapter());
    onTestFinished(() => app.close());
    await app.listen(0, '127.0.0.1');
    expect(await (await fetch(`${await app.getUrl()}/7`)).text()).toBe('7');
    expect(tree()).toEqual(['acquire route:<id>', 'hold route:<id>', '  handler']);
    expect(spanOf('hold route:<id>').attributes['code.function.name']).toBe('Shop.get');
  });
});

import { Controller, Get, Injectable, Post, Param } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { DistributedLockModule, Locked, LockService, memory } from 'nestjs-distributed-lock';
import { LockMetricsModule } from 'nestjs-distributed-lock/prometheus';
import { AggregatorRegistry, Registry } from 'prom-client';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { applicationWith, RecordingLogger } from './support/application.js';
import { Gate } from './support/gate.js';

let registry: Registry;
beforeEach(() => void (registry = new Registry()));

@Injectable()
class Orders {
  gate = new Gate();

  @Locked('order:<id>')
  async place(id: string): Promise<string> {
    return id;
  }

  @Locked('tick', { onBusy: 'skip' })
  async tick(): Promise<void> {
    await this.gate.passed;
  }

  @Locked('slow', { maxHold: 20 })
  async slow(): Promise<void> {
    await this.gate.passed;
  }
}

/** The samples of a family, without those of its buckets: its labels and its value, one a line. */
async function samples(name: string): Promise<string[]> {
  const text = await registry.metrics();
  return text.split('\n').filter((line) => line.startsWith(`lock_${name}`) && !line.includes('_bucket{'));
}

const start = (imports: Parameters<typeof applicationWith>[0]['imports'] = []) =>
  applicationWith({ imports: [LockMetricsModule.forRoot({ registry }), ...imports], providers: [Orders] });

describe('LockMetricsModule', () => {
  it('counts a thousand orders in twelve metrics at most, with one set of labels each, and no label tells an order', async () => {
    const app = await start();
    await Promise.all(Array.from({ length: 1_000 }, (_, i) => app.get(Orders).place(`o${i}`)));
    const text = await registry.metrics();
    expect(text).not.toMatch(/o\d+"/);
    const labelled = text
      .split('\n')
      .filter((line) => line.startsWith('lock_') && !/_bucket\{|_sum\{/.test(line))
      .map((line) => line.slice(0, line.lastIndexOf(' ')));
    expect(new Set(labelled).size).toBe(labelled.length);
    expect(labelled.length).toBeLessThanOrEqual(12);
    const families = [...text.matchAll(/^# TYPE (lock_\w+) /gm)].map(([, name]) => name);
    expect(families).toHaveLength(10);
    // What Prometheus stores: a histogram is a series for each bucket, its sum and its count.
    expect(text.split('\n').filter((line) => line.startsWith('lock_'))).toHaveLength(32);
    expect(await samples('acquisitions_total')).toEqual([
      'lock_acquisitions_total{name="order:<id>",backend="default",outcome="acquired"} 1000',
    ]);
    expect(await samples('wait_seconds_count')).toEqual([
      'lock_wait_seconds_count{name="order:<id>",backend="default"} 1000',
    ]);
    expect(await samples('hold_seconds_count')).toEqual([
      'lock_hold_seconds_count{name="order:<id>",backend="default"} 1000',
    ]);
    expect(await samples('held')).toEqual(['lock_held{name="order:<id>",backend="default"} 0']);
  });

  it('counts a skipped tick as skipped: three processes, one runs', async () => {
    const backend = memory();
    const pods = await Promise.all([1, 2, 3].map(() => start([DistributedLockModule.forRoot({ backend })])));
    for (let tick = 0; tick < 11; tick++) {
      for (const pod of pods) pod.get(Orders).gate = new Gate();
      const running = pods.map((pod) => pod.get(Orders).tick());
      for (const pod of pods) pod.get(Orders).gate.open();
      await Promise.all(running);
    }
    expect((await samples('acquisitions_total')).sort()).toEqual([
      'lock_acquisitions_total{name="tick",backend="default",outcome="acquired"} 11',
      'lock_acquisitions_total{name="tick",backend="default",outcome="skipped"} 22',
    ]);
  });

  it('shows who holds and who waits at this moment, and forgets neither', async () => {
    const app = await start();
    const locks = app.get(LockService);
    const lock = await locks.acquire('key', { name: 'work' });
    const abort = new AbortController();
    const waiting = [
      locks.acquire('key', { name: 'work', signal: abort.signal }),
      locks.acquire('key', { name: 'work', wait: 30 }),
      locks.acquire('key', { name: 'work' }),
    ];
    const settled = Promise.allSettled(waiting);
    await expect(waiting[1]).rejects.toThrow();
    expect(await samples('held')).toEqual(['lock_held{name="work",backend="default"} 1']);
    expect(await samples('waiting')).toEqual(['lock_waiting{name="work",backend="default"} 2']);
    abort.abort();
    await lock.release();
    await (await waiting[2])?.release();
    await settled;
    expect(await samples('held')).toEqual(['lock_held{name="work",backend="default"} 0']);
    expect(await samples('waiting')).toEqual(['lock_waiting{name="work",backend="default"} 0']);
    expect(await samples('failures_total')).toEqual([
      'lock_failures_total{name="work",backend="default",reason="aborted"} 1',
    ]);
  });

  it('counts a loss by its reason', async () => {
    const app = await start();
    const orders = app.get(Orders);
    const slow = orders.slow();
    await expect(Promise.race([slow, new Promise((resolve) => setTimeout(resolve, 60, 'on'))])).resolves.toBe('on');
    orders.gate.open();
    await expect(slow).rejects.toThrow(/maxHold/);
    expect(await samples('losses_total')).toEqual([
      'lock_losses_total{name="slow",backend="default",reason="max-hold"} 1',
    ]);
  });

  it('tells for each backend whether a lock can be taken there, also when it says nothing', async () => {
    let failure: (() => Promise<never>) | undefined;
    const broken = memory();
    const dead = new Proxy(broken, {
      get: (target, name): unknown => {
        const member: unknown = Reflect.get(target, name, target);
        return name === 'attempt' && failure ? failure : member;
      },
    });
    await start([DistributedLockModule.forRoot({ backends: { main: memory(), audit: dead }, default: 'main' })]);
    expect((await samples('backend_up')).sort()).toEqual([
      'lock_backend_up{backend="audit"} 1',
      'lock_backend_up{backend="main"} 1',
    ]);
    failure = () => Promise.reject(new Error('gone'));
    expect(await samples('backend_up')).toContain('lock_backend_up{backend="audit"} 0');
    failure = () => new Promise(() => undefined);
    expect(await samples('backend_up')).toContain('lock_backend_up{backend="audit"} 0');
  });

  it('does not grow with names that somebody makes of keys', async () => {
    const app = await start();
    const locks = app.get(LockService);
    for (let i = 0; i < 500; i++) await locks.withLock(`k${i}`, () => undefined, { name: `order:${i}` });
    const counted = await samples('acquisitions_total');
    expect(counted).toHaveLength(201);
    expect(counted.at(-1)).toBe('lock_acquisitions_total{name="other",backend="default",outcome="acquired"} 300');
  });

  it('takes a prefix and buckets, also from a factory, and refuses what is none', async () => {
    await applicationWith({
      imports: [
        LockMetricsModule.forRootAsync({
          useFactory: async () => ({ registry, prefix: 'shop_lock_', holdBuckets: [1, 2] }),
        }),
      ],
    }).then((app) => app.get(LockService).withLock('key', () => undefined));
    const text = await registry.metrics();
    expect(text).toContain('shop_lock_hold_seconds_bucket{le="2",name="unnamed",backend="default"} 1');
    expect(text).toContain('shop_lock_hold_seconds_bucket{le="+Inf",name="unnamed",backend="default"} 1');
    await expect(
      applicationWith({ imports: [LockMetricsModule.forRoot({ registry, holdBuckets: [2, 1] })] }),
    ).rejects.toThrow(/holdBuckets/);
    await expect(applicationWith({ imports: [LockMetricsModule.forRoot({ regitry: 1 } as object)] })).rejects.toThrow(
      /`regitry` is not an option/,
    );
  });

  it('of applications one after the other in one registry counts on, also after it was cleared', async () => {
    for (const cleared of [false, true]) {
      if (cleared) registry.clear();
      const app = await start();
      await app.get(Orders).place('1');
      await app.close();
    }
    expect(await samples('acquisitions_total')).toEqual([
      'lock_acquisitions_total{name="order:<id>",backend="default",outcome="acquired"} 2',
    ]);
    expect(await samples('backend_up')).toEqual([]);
    registry.resetMetrics();
    expect(await samples('acquisitions_total')).toEqual([]);
  });

  it('is summed over the workers of a Node cluster', async () => {
    const app = await start();
    await app.get(Orders).place('1');
    const json = await registry.getMetricsAsJSON();
    const text = await AggregatorRegistry.aggregate([json, json]).metrics();
    expect(text).toContain('lock_acquisitions_total{name="order:<id>",backend="default",outcome="acquired"} 2');
    expect(text).toContain('lock_hold_seconds_count{name="order:<id>",backend="default"} 2');
    expect(text).toContain('lock_backend_up{backend="default"} 1');
  });

  it('speaks OpenMetrics as well', async () => {
    const open = new Registry();
    open.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never);
    const app = await applicationWith({
      imports: [LockMetricsModule.forRoot({ registry: open })],
      providers: [Orders],
    });
    await app.get(Orders).place('1');
    for (let scrape = 0; scrape < 2; scrape++) {
      expect(await open.metrics()).toContain('lock_acquisitions_total{name="order:<id>"');
    }
  });

  it('says so where there are no locks', async () => {
    const module = await Test.createTestingModule({ imports: [LockMetricsModule.forRoot({ registry })] }).compile();
    await expect(module.init()).rejects.toThrow(/found no locks/);
  });

  it.each([
    ['Express', () => new ExpressAdapter()],
    ['Fastify', () => new FastifyAdapter()],
  ] as const)('is three lines in an application on %s', async (_, adapter) => {
    @Controller()
    class Shop {
      constructor(private readonly orders: Orders) {}

      @Post('orders/:id')
      place(@Param('id') id: string) {
        return this.orders.place(id);
      }

      @Get('metrics')
      metrics() {
        return registry.metrics();
      }
    }
    const module = await Test.createTestingModule({
      imports: [DistributedLockModule.forRoot({ backend: memory() }), LockMetricsModule.forRoot({ registry })],
      controllers: [Shop],
      providers: [Orders],
    })
      .setLogger(new RecordingLogger())
      .compile();
    const app = module.createNestApplication(adapter());
    onTestFinished(() => app.close());
    await app.listen(0, '127.0.0.1');
    const url = await app.getUrl();
    await fetch(`${url}/orders/7`, { method: 'POST' });
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(text).toContain('lock_acquisitions_total{name="order:<id>",backend="default",outcome="acquired"} 1');
  });
});

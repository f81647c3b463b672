import { Injectable } from '@nestjs/common';
import {
  DistributedLockModule,
  type DistributedLockOptions,
  type LockBackend,
  Locked,
  LockLostError,
  LockService,
  memory,
} from 'nestjs-distributed-lock';
import { describe, expect, it, vi } from 'vitest';
import { applicationWith } from './support/application.js';
import { Gate } from './support/gate.js';

@Injectable()
class Orders {
  readonly gate = new Gate();

  @Locked('order:<id>')
  async place(id: string): Promise<string> {
    await this.gate.passed;
    return id;
  }

  @Locked('audit', { backend: 'audit' })
  async audit(): Promise<void> {}
}

@Injectable()
class Simple {
  @Locked('simple')
  async run(): Promise<void> {}
}

/** Locks in memory whose server can be switched off. */
function switchable(): { readonly backend: LockBackend; failure: Error | undefined } {
  const target = memory();
  const server: { backend: LockBackend; failure: Error | undefined } = { failure: undefined, backend: target };
  server.backend = new Proxy(target, {
    get: (backend, name) => {
      const member: unknown = Reflect.get(backend, name, backend);
      if (name === 'address') return 'memory.example:1234';
      if (typeof member !== 'function' || name === 'onLost' || name === 'close') return member;
      return async (...args: unknown[]) => {
        if (server.failure) throw server.failure;
        return Reflect.apply(member, backend, args) as unknown;
      };
    },
  });
  return server;
}

const start = (options: DistributedLockOptions, providers = [Simple] as (typeof Simple | typeof Orders)[]) =>
  applicationWith({ imports: [DistributedLockModule.forRoot(options)], providers });

describe('the log, by itself', () => {
  it('warns at the start of what should be changed about a backend although locks work', async () => {
    const evicting: LockBackend = Object.assign(memory(), { warnings: async () => ['It may evict locks.'] });
    const mute: LockBackend = Object.assign(memory(), { warnings: () => Promise.reject(new Error('no right to ask')) });
    const one = await start({ backend: evicting });
    expect(one.logger.texts('warn')).toEqual([expect.stringContaining('It may evict locks.')]);
    const two = await start({ backends: { default: evicting, other: mute } });
    expect(two.logger.texts('warn')).toEqual([expect.stringContaining('"default": It may evict locks.')]);
    const silent = await start({ backend: evicting, log: { boot: false } });
    expect(silent.logger.texts('warn')).toEqual([]);
  });

  it('says once at the start where the locks are and how many methods have one', async () => {
    const one = await start({ backend: switchable().backend, prefix: 'shop:' });
    expect(one.logger.texts('log').filter((text) => text.includes('Locks on'))).toEqual([
      expect.stringContaining('Locks on memory at memory.example:1234, 1 locked method; prefix "shop:".'),
    ]);
    const two = await start({ backends: { main: memory(), audit: memory() }, default: 'main' }, [Orders, Simple]);
    expect(two.logger.texts('log').filter((text) => text.includes('Locks on'))).toEqual([
      expect.stringContaining(
        'Locks on "main": memory, 2 locked methods; "audit": memory, 1 locked method; prefix "lock:".',
      ),
    ]);
  });

  it('warns of a lost lock with its key and the reason', async () => {
    const app = await start({ backend: memory(), shutdownGrace: 0 });
    const locks = app.get(LockService);
    const lock = await locks.acquire('order:7');
    await locks.forceRelease('order:7');
    expect(lock.signal.reason).toBeInstanceOf(LockLostError);
    expect(app.logger.texts('warn')).toEqual([
      expect.stringMatching(/The lock "order:7" on "default" was lost after \d+ ms: it was released by force/),
    ]);
  });

  it('of a thousand writes ten, and how many more there were', async () => {
    const app = await start({ backend: memory(), shutdownGrace: 0 });
    const locks = app.get(LockService);
    await Promise.all(
      Array.from({ length: 1_000 }, async (_, i) => {
        await locks.acquire(`order:${i}`);
        await locks.forceRelease(`order:${i}`);
      }),
    );
    expect(app.logger.texts('warn')).toHaveLength(10);
    await app.close();
    expect(app.logger.texts('warn').at(10)).toContain('990 more locks were lost on "default".');
  });

  it('tells of the first failed renewal of a hold, and of a backend that goes away and comes back, once each', async () => {
    const server = switchable();
    const app = await start({ backend: server.backend, shutdownGrace: 0 });
    const locks = app.get(LockService);
    const lock = await locks.acquire('order:7', { ttl: '2s' });
    server.failure = new Error('connect ECONNREFUSED');
    await vi.waitUntil(() => app.logger.texts('error').length > 0, { timeout: 5_000 });
    await expect(lock.extend()).rejects.toThrow();
    await expect(lock.extend()).rejects.toThrow();
    expect(app.logger.texts('error')).toEqual([
      expect.stringMatching(/The lock backend "default" \(memory at memory\.example:1234\) went away: .*ECONNREFUSED/),
    ]);
    expect(app.logger.texts('warn')).toEqual([
      expect.stringMatching(
        /The lock "order:7" on "default" could not be renewed: connect ECONNREFUSED\. It is held for/,
      ),
    ]);
    server.failure = undefined;
    await vi.waitUntil(() => app.logger.texts('log').some((text) => text.includes('is back after')), {
      timeout: 5_000,
    });
    await lock.release();
    // Again, and it is told again.
    server.failure = new Error('gone once more');
    await expect(locks.acquire('order:8', { wait: 0 })).rejects.toThrow();
    await vi.waitUntil(() => app.logger.texts('error').length > 1, { timeout: 5_000 });
    server.failure = undefined;
  });

  it('of a shutdown tells what it waits for, and what it left behind', async () => {
    const app = await start({ backends: { main: memory(), audit: memory() }, default: 'main', shutdownGrace: 50 }, [
      Orders,
    ]);
    const orders = app.get(Orders);
    const placing = Promise.allSettled(['1', '2', '3'].map((id) => orders.place(id)));
    const held = async () => (await app.get(LockService).list()).locks.length === 3;
    await vi.waitUntil(held);
    await app.close();
    expect(app.logger.texts('log').find((text) => text.includes('The shutdown waits'))).toMatch(
      /waits up to 50 ms for 3 locks on "main": "order:\d" \(Orders\.place, held for \d+ ms\), /,
    );
    expect(app.logger.texts('warn')).toEqual([
      expect.stringMatching(
        /releases 3 locks on "main" although the work under it has not ended: "order:\d" \(Orders\.place/,
      ),
    ]);
    orders.gate.open();
    await placing;
  });

  it('is silent where it is told to be, or in a part of it', async () => {
    for (const log of [false, { losses: false, boot: false }] as const) {
      const app = await start({ backend: memory(), shutdownGrace: 0, log });
      const locks = app.get(LockService);
      await locks.acquire('order:7');
      await locks.forceRelease('order:7');
      await app.close();
      expect(app.logger.texts('warn')).toEqual([]);
      expect(app.logger.texts('log').filter((text) => text.includes('Locks on'))).toEqual([]);
    }
    await expect(start({ backend: memory(), log: { lost: false } as object })).rejects.toThrow(
      /`lost` is not an option of `log`/,
    );
    await expect(start({ backend: memory(), log: { losses: 'no' } as object })).rejects.toThrow(/`log\.losses`/);
  });
});

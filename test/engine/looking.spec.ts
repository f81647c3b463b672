import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { memoryOn } from '../../lib/backends/memory/index.js';
import { LockBackendError, LockClosedError, LockConfigurationError } from '../../lib/lock/errors.js';
import { Bench, silence } from './support/bench.js';

const TTL = 10_000;

describe('what people are shown', () => {
  it('a lock serialises with its token as digits, and prints on one line', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    const lock = await engine.acquire('order:1', { ttl: TTL });
    expect(JSON.parse(JSON.stringify({ lock }))).toEqual({
      lock: {
        key: 'order:1',
        owner: lock.owner,
        mode: 'exclusive',
        fencingToken: String(lock.fencingToken),
        held: true,
        remainingMs: expect.any(Number),
      },
    });
    const line = inspect(lock);
    expect(line).not.toContain('\n');
    expect(line).toContain('order:1');
    expect(line).toContain(String(lock.fencingToken));
    expect(line).toMatch(/held for \d+ ms more/);
    await lock.release();
    expect(inspect(lock)).toContain('released');
  });

  it('what inspect and list tell serialises, with tokens as digits, and is otherwise plain data', async () => {
    const bench = new Bench();
    const { engine } = bench.process({ prefix: 'shop:' });
    const lock = await engine.acquire('key', { ttl: TTL });
    const info = await engine.inspect('key');
    const holder = { owner: lock.owner, fencingToken: lock.fencingToken, remainingMs: TTL, heldMs: 0 };
    const plain = { key: 'key', held: true, mode: 'exclusive', limit: 1, waiting: 0, waiters: [] };
    expect(info).toEqual({ ...plain, holders: [holder] });
    const json = { ...plain, holders: [{ ...holder, fencingToken: String(lock.fencingToken) }] };
    expect(JSON.parse(JSON.stringify(info))).toEqual(json);
    expect(JSON.parse(JSON.stringify(await engine.list()))).toEqual({ locks: [json] });
  });

  it('since when a lock is held and waited for', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    await bench.clock.advance(500);
    const waiting = engine.acquire('key', { ttl: TTL });
    await bench.clock.advance(1_500);
    const info = await engine.inspect('key');
    expect(info.holders[0]?.heldMs).toBe(2_000);
    expect(info.waiters).toEqual([{ owner: expect.any(String), waitingMs: 1_500 }]);
    void lock.release();
    await (await bench.clock.run(waiting)).release();
  });
});

describe('list', () => {
  it('stops asking after a while when next to nothing matches, and says where to go on', async () => {
    const bench = new Bench();
    const { engine, asked } = bench.process();
    for (let i = 0; i < 30; i++) await engine.acquire(`key:${String(i).padStart(2, '0')}`, { ttl: TTL });
    let page = await engine.list({ match: '*:29', limit: 1 });
    expect(page.locks).toEqual([]);
    expect(asked.filter(({ question }) => question === 'list')).toHaveLength(10);
    while (page.cursor !== undefined && page.locks.length === 0) {
      page = await engine.list({ match: '*:29', limit: 1, cursor: page.cursor });
    }
    expect(page.locks.map(({ key }) => key)).toEqual(['key:29']);
  });

  it.each([{ limit: 0 }, { limit: 1_001 }, { limit: 1.5 }, { match: 5 }, { cursor: 7 }] as object[])(
    'refuses %o',
    async (options) => {
      const { engine } = new Bench().process();
      await expect(engine.list(options)).rejects.toThrow(LockConfigurationError);
    },
  );

  it('says so where the backend cannot', async () => {
    const bench = new Bench();
    const { list: _, ...server } = memoryOn(bench.table);
    const { engine } = bench.process({ server });
    await expect(engine.list()).rejects.toThrow(/cannot list/);
  });
});

describe('ping', () => {
  it('takes a lock for a moment, and tells nobody of it', async () => {
    const bench = new Bench();
    const { engine, asked, events } = bench.process();
    await engine.ping();
    expect(asked.map(({ question }) => question)).toEqual(['ping', 'attempt', 'release']);
    expect(bench.table.size).toBe(0);
    expect(events).toEqual([]);
  });

  it('is content when another process asks in the same moment', async () => {
    const bench = new Bench();
    const [one, other] = [bench.process(), bench.process()];
    one.wire.ask = async (question, send) => {
      const answer = await send();
      if (question === 'attempt') await other.engine.ping();
      return answer;
    };
    await one.engine.ping();
    expect(bench.table.size).toBe(0);
  });

  it('says what the server refuses: to answer, to lock, to let go', async () => {
    const bench = new Bench();
    for (const refused of ['ping', 'attempt', 'release'] as const) {
      const { engine, wire } = bench.process();
      wire.ask = async (question, send) => {
        if (question === refused) throw new Error('NOPERM no such right');
        return send();
      };
      const refusal: unknown = await engine.ping().catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(LockBackendError);
      expect((refusal as Error).message).toContain('NOPERM no such right');
      wire.heal();
      await bench.clock.advance(1_000);
      expect(bench.table.size, 'it is given back when the server lets it').toBe(0);
    }
  });

  it('of a frozen server ends within its timeout', async () => {
    const bench = new Bench();
    for (const lost of ['ping', 'attempt', 'release'] as const) {
      const { engine, wire } = bench.process();
      wire.ask = (question, send) => (question === lost ? silence() : send());
      const startedAt = bench.clock.now();
      await expect(bench.clock.run(engine.ping('300ms'))).rejects.toThrow(/no answer within \d+ ms/);
      expect(bench.clock.now() - startedAt).toBeLessThanOrEqual(310);
    }
  });

  it('after the shutdown says that', async () => {
    const { engine } = new Bench().process();
    await engine.close(0);
    await expect(engine.ping()).rejects.toThrow(LockClosedError);
  });
});

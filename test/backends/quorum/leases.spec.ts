import { describe, expect, it, onTestFinished } from 'vitest';
import { LockEngine } from '../../../lib/engine/engine.js';
import { LockBackendError, LockLostError } from '../../../lib/lock/errors.js';
import { Dice } from '../../simulation/dice.js';
import { Masters, type Voter } from './masters.js';

function engineOf({ backend, clock }: Voter, masters: Masters): LockEngine {
  const engine = new LockEngine(backend, { clock, random: () => 0.5, prefix: '' });
  onTestFinished(() => masters.clock.run(engine.close(0)));
  return engine;
}

describe('how long a lock is believed', () => {
  it.each([
    ['the allowance of the engine', 1.009, {}],
    ['a drift of ten per cent', 1.1, { drift: 0.1 }],
  ])(
    'with clocks of servers that run as fast as %s allows for, it has a majority to its end',
    async (_, rate, options) => {
      const masters = new Masters(
        3,
        [0, 1, 2].map(() => rate),
      );
      const engine = engineOf(masters.voter(options), masters);
      const lock = await masters.clock.run(engine.acquire('order', { ttl: 1_000, renew: false }));
      let last = 0;
      while (lock.held) {
        expect(masters.holders).toEqual([lock.owner, lock.owner, lock.owner]);
        last = masters.clock.now();
        await masters.clock.advance(1);
      }
      expect(last).toBeGreaterThan(980);
    },
  );

  it('is counted from the asking, not from the votes', async () => {
    const masters = new Masters(3);
    const voter = masters.voter();
    for (const link of voter.links) link.way = () => [0, 200];
    const engine = engineOf(voter, masters);
    const lock = await masters.clock.run(engine.acquire('order', { ttl: 1_000, renew: false }));
    expect(masters.clock.now()).toBe(200);
    expect(lock.remainingMs).toBeLessThanOrEqual(1_000 - 200 - 10);
  });

  it('votes that took longer than the lease lasts are given to nobody, and are given back', async () => {
    const masters = new Masters(5);
    const voter = masters.voter();
    const engine = engineOf(voter, masters);
    for (const link of voter.links) link.way = (question) => (question === 'attempt' ? [0, 240] : [0, 0]);
    const acquiring = engine.acquire('order', { ttl: 200, wait: 0 }).catch((error: unknown) => error);
    expect(await masters.clock.run(acquiring)).toBeInstanceOf(Error);
    await masters.clock.advance(300);
    expect(masters.untouched).toBe(true);
  });

  it('its loss is told before it ends when a majority falls silent', async () => {
    const masters = new Masters(5);
    const voter = masters.voter();
    const engine = engineOf(voter, masters);
    const lock = await masters.clock.run(engine.acquire('order', { ttl: 1_500 }));
    await masters.clock.advance(400);
    for (const link of voter.links.slice(0, 3)) link.cut();
    const silentSince = masters.clock.now();
    const lost = new Promise<unknown>((resolve) =>
      lock.signal.addEventListener('abort', () => resolve(lock.signal.reason), { once: true }),
    );
    expect(await masters.clock.run(lost)).toBeInstanceOf(LockLostError);
    expect(masters.clock.now() - silentSince).toBeLessThan(1_500);
    expect(masters.holders.filter((holder) => holder === lock.owner)).toHaveLength(5);
    for (const link of voter.links) link.mend();
  });
});

describe('an acquisition while a majority is silent', () => {
  it.each([0, 100, 300, 1_000, 3_000])(
    'ends within a `wait` of %i ms and the time limit of one server, and leaves nothing where it was heard',
    async (wait) => {
      for (const silent of [
        [0, 1, 2],
        [1, 2, 3],
        [2, 3, 4],
      ]) {
        const masters = new Masters(5);
        const voter = masters.voter({ nodeTimeout: 250 });
        const engine = engineOf(voter, masters);
        for (const index of silent) voter.links[index]!.cut();
        const attempt = await masters.clock.run(engine.acquire('order', { wait }).catch((error: unknown) => error));
        expect(attempt).toBeInstanceOf(LockBackendError);
        expect((attempt as LockBackendError).causes).toHaveLength(3);
        expect(masters.clock.now()).toBeLessThanOrEqual(wait + 250);
        expect(masters.untouched).toBe(true);
        for (const link of voter.links) link.mend();
      }
    },
  );

  it('takes one such limit more if it stood in line at a server that falls silent with them', async () => {
    for (let silentAt = 600; silentAt <= 1_000; silentAt += 50) {
      const masters = new Masters(5);
      const [one, other] = [masters.voter({ nodeTimeout: 250 }), masters.voter({ nodeTimeout: 250 })];
      const [holder, waiter] = [engineOf(one, masters), engineOf(other, masters)];
      const lock = await masters.clock.run(holder.acquire('order', { ttl: 30_000 }));
      const attempt = waiter.acquire('order', { wait: 1_000 }).catch((error: unknown) => error);
      await masters.clock.advance(silentAt);
      for (const index of [0, 1, 2]) other.links[index]!.cut();
      expect(await masters.clock.run(attempt)).toBeInstanceOf(Error);
      expect(masters.clock.now()).toBeLessThanOrEqual(1_000 + 2 * 250);
      for (const link of other.links) link.mend();
      await masters.clock.run(lock.release());
    }
  });
});

describe('fencing', () => {
  it('the token is stored at a majority: the next one, of other servers but one, gets a higher one', async () => {
    const masters = new Masters(5);
    // The first one counts from far ahead.
    const head = masters.claim();
    masters.tables[0]!.attempt(head);
    masters.tables[0]!.takeOver(head, [], 1_000_000n);
    masters.tables[0]!.release(head);
    const [one, other] = [masters.voter({ fencing: true }), masters.voter({ fencing: true })];
    for (const index of [3, 4]) one.links[index]!.cut();
    for (const index of [0, 1]) other.links[index]!.cut();
    const claim = masters.claim();
    const first = await masters.clock.run(one.backend.attempt(claim));
    const tokens = masters.tables.map((table) => table.inspect('order').holders[0]?.fencingToken);
    expect(first).toMatchObject({ granted: true, fencingToken: tokens[0] });
    expect(tokens).toEqual([tokens[0], tokens[0], tokens[0], undefined, undefined]);
    await masters.clock.run(one.backend.release(claim));
    const second = await masters.clock.run(other.backend.attempt(masters.claim()));
    expect(second.granted && second.fencingToken).toBeGreaterThan(tokens[0]!);
  });

  it('a lock whose token cannot be stored at a majority is not given, and its votes are given back', async () => {
    const masters = new Masters(3);
    const head = masters.claim();
    masters.tables[0]!.attempt(head);
    masters.tables[0]!.takeOver(head, [], 1_000_000n);
    masters.tables[0]!.release(head);
    const { backend, links, clock } = masters.voter({ fencing: true });
    for (const link of links) link.way = (question) => (question === 'takeOver' ? [undefined, 0] : [0, 0]);
    await expect(clock.run(backend.attempt(masters.claim()))).rejects.toThrow(
      '2 of 3 servers gave no answer (memory (2): no answer within 250 ms; memory (3): no answer within 250 ms)',
    );
    for (const link of links) link.mend();
    await clock.advance(5_000);
    expect(masters.untouched).toBe(true);
  });
});

describe('contenders with half of the votes each', () => {
  /** Turns of contenders that begin together, each nearer to other servers, for so long. */
  async function contend(servers: number, orders: readonly (readonly number[])[], seed: number): Promise<number[]> {
    const masters = new Masters(servers);
    const dice = new Dice(seed);
    let inside = 0;
    const turns = orders.map(() => 0);
    const work = orders.map(async (order, index) => {
      const voter = masters.voter({ order, random: dice.random });
      for (const [place, link] of voter.links.entries())
        link.way = () => [dice.between(0, 1) + place / 10, dice.between(0, 1)];
      const engine = engineOf(voter, masters);
      while (masters.clock.now() < 2_500) {
        const lock = await engine.acquire('order', { ttl: 2_000 });
        expect(++inside).toBe(1);
        await new Promise<void>((resolve) => void voter.clock.after(5, resolve));
        inside--;
        turns[index]!++;
        await lock.release();
      }
    });
    await masters.clock.run(Promise.all(work));
    return turns;
  }

  it('take turns when all name the servers in the same order', async () => {
    const order = [0, 1, 2, 3, 4];
    for (let seed = 1; seed <= 3; seed++) {
      const turns = await contend(5, [order, order, order, order, order], seed);
      expect(Math.min(...turns)).toBeGreaterThan(Math.max(...turns) * 0.8);
      expect(turns.reduce((a, b) => a + b)).toBeGreaterThan(150);
    }
  });

  it('neither keep each other out nor go on for ever when they stand in line at different servers', async () => {
    const orders = [
      [0, 1, 2, 3],
      [3, 2, 1, 0],
    ];
    for (let seed = 1; seed <= 10; seed++) {
      const turns = await contend(4, orders, seed);
      expect(Math.min(...turns)).toBeGreaterThan(0);
    }
  });
});

import { setTimeout } from 'node:timers/promises';
import { onTestFinished, describe, expect, it } from 'vitest';
import type { LockBackend } from '../../lib/backends/backend.js';
import { memory, memoryOn } from '../../lib/backends/memory/index.js';
import { LockTable } from '../../lib/backends/memory/lock-table.js';
import { LockEngine, type EngineOptions } from '../../lib/engine/engine.js';
import { LockClosedError, LockConfigurationError, LockKeyError, LockLostError } from '../../lib/lock/errors.js';
import { Election, type LeaderOptions } from '../../lib/engine/election/leader-election.js';
import type { Leadership } from '../../lib/engine/election/leader-term.js';
import { Wire } from '../../lib/testing/contract/wire.js';
import { VirtualClock } from '../simulation/virtual-clock.js';
import { Gate } from '../nest/support/gate.js';
import { noteWarnings } from './support/warnings.js';

/** One process that stands for "reports". */
function candidate(
  backend: LockBackend,
  options: LeaderOptions = {},
  settings: EngineOptions & { opened?: Promise<void> } = {},
) {
  const wire = new Wire();
  const { opened = Promise.resolve(), ...engineOptions } = settings;
  const engine = new LockEngine(wire.to(backend), engineOptions);
  const election = new Election(engine, 'reports', options, {
    opened,
    ...(engineOptions.clock && { clock: engineOptions.clock }),
  });
  onTestFinished(async () => {
    wire.heal();
    await election.close();
    await engine.close(0);
  });
  return { election, engine, wire };
}

/** Stands for it and comes back when it is leading, or in the line. */
async function standing(...parameters: Parameters<typeof candidate>) {
  const made = candidate(...parameters);
  const waiting = new Promise<void>((resolve) => made.engine.listen(({ type }) => type === 'waiting' && resolve()));
  const elected = nextTerm(made.election);
  made.election.campaign();
  await Promise.race([elected, waiting]);
  return made;
}

function nextTerm(election: Election): Promise<Leadership> {
  return new Promise((resolve) => {
    const stop = election.listen({
      elected(leadership) {
        stop();
        resolve(leadership);
      },
    });
  });
}

function nextEnd(election: Election): Promise<unknown> {
  return new Promise((resolve) => {
    const stop = election.listen({
      ended(_, reason) {
        stop();
        resolve(reason);
      },
    });
  });
}

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** The event loop stands still. */
const stall = (milliseconds: number) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

describe('an election', () => {
  it('has exactly one leader, and the others in line', async () => {
    const backend = memory();
    const all = [await standing(backend), await standing(backend), await standing(backend)];
    expect(all.map(({ election }) => election.leadership !== undefined)).toEqual([true, false, false]);
    expect(await all[0]!.engine.inspect('leader:reports')).toMatchObject({ held: true, waiting: 2 });
  });

  it('passes the office on in the order of arrival, with tokens that grow', async () => {
    const backend = memory();
    const all = [await standing(backend), await standing(backend), await standing(backend)] as const;
    const tokens = [all[0].election.leadership?.fencingToken ?? 0n];
    for (const [at, next] of [all[1], all[2]].entries()) {
      const elected = nextTerm(next.election);
      await all[at]!.election.resign();
      tokens.push((await elected).fencingToken ?? 0n);
    }
    expect(tokens).toEqual([...new Set(tokens)].toSorted((a, b) => (a < b ? -1 : 1)));
  });

  it('is stood for again when the lock was lost before anybody could listen to it', async () => {
    const { election, engine } = candidate(memory(), { ttl: 50 });
    let stalls = 0;
    engine.listen(({ type }) => {
      if (type === 'acquired' && stalls++ === 0) stall(60);
    });
    const [elected, ended] = [nextTerm(election), nextEnd(election)];
    election.campaign();
    expect((await elected).held).toBe(false);
    expect(await ended).toBeInstanceOf(LockLostError);
    expect((await nextTerm(election)).held).toBe(true);
  });

  it('is not held up by a listener that fails', async () => {
    const warnings = noteWarnings();
    const { election } = await standing(memory());
    const failure = new Error('the metrics are down');
    election.listen({
      ended() {
        throw failure;
      },
    });
    await election.resign();
    expect(await warnings()).toEqual([failure]);
  });

  it('lets one that resigned stand again, at the end of the line', async () => {
    const backend = memory();
    const [first, second] = [await standing(backend), await standing(backend)];
    const [before, elected] = [first.election.leadership, nextTerm(second.election)];
    const waiting = new Promise<void>((resolve) => first.engine.listen(({ type }) => type === 'waiting' && resolve()));
    void first.election.resign();
    first.election.campaign();
    await Promise.all([elected, waiting]);
    expect(first.election.leadership).toBeUndefined();

    const again = nextTerm(first.election);
    await second.election.resign();
    expect((await again).fencingToken).toBeGreaterThan(before?.fencingToken ?? 0n);
  });

  it('hands over by one push when the leader shuts down, however long its lease', async () => {
    const backend = memory();
    const [first, second] = [await standing(backend, { ttl: '10m' }), await standing(backend, { ttl: '10m' })];
    let asked = 0;
    second.wire.ask = (_, send) => {
      asked += 1;
      return send();
    };
    const [term, elected] = [first.election.leadership, nextTerm(second.election)];
    await first.election.close();
    await elected;
    expect(asked).toBe(0);
    expect(term?.signal.reason).toBeInstanceOf(LockClosedError);
    first.election.campaign();
    expect(await backend.inspect('lock:leader:reports')).toMatchObject({ waiting: 0 });
  });

  it('hands over only when the work of the leader has settled', async () => {
    const backend = memory();
    const [first, second] = [await standing(backend), await standing(backend)];
    const [stopping, cleared, log] = [new Gate(), new Gate(), [] as string[]];
    first.election.lead(async ({ signal }) => {
      await aborted(signal);
      stopping.open();
      await cleared.passed;
      log.push('first stopped');
    });
    const elected = nextTerm(second.election).then(() => log.push('second leads'));
    const resigned = first.election.resign();
    await stopping.passed;
    expect(first.election.leadership).toBeUndefined();
    expect(await second.engine.inspect('leader:reports')).toMatchObject({ held: true, waiting: 1 });

    cleared.open();
    await Promise.all([resigned, elected]);
    expect(log).toEqual(['first stopped', 'second leads']);
  });

  it('hands over when the work itself awaits its resignation, or a second one', async () => {
    const backend = memory();
    const [first, second] = [await standing(backend), await standing(backend)];
    const elected = nextTerm(second.election);
    const signals: boolean[] = [];
    first.election.lead(async ({ signal }) => {
      await first.election.resign();
      signals.push(signal.aborted);
      // Also when it stood again meanwhile, and by a call from within.
      first.election.campaign();
      await setTimeout(1).then(() => first.election.resign());
    });
    expect((await elected).held).toBe(true);
    expect(signals).toEqual([true]);
  });

  it('has one who asks from outside wait for the work, though that resigned by itself', async () => {
    const { election } = await standing(memory());
    const gate = new Gate();
    let settled = false;
    election.lead(async () => {
      await election.resign();
      await gate.passed;
      settled = true;
    });
    const resigned = election.resign();
    gate.open();
    await resigned;
    expect(settled).toBe(true);
  });

  it('tells a leader that is cut off before its lease ends on the server', async () => {
    const clock = new VirtualClock();
    const backend = memoryOn(new LockTable(() => clock.now()));
    const { election, engine, wire } = candidate(backend, { ttl: 400 }, { clock, callTimeout: 50 });
    const elected = nextTerm(election);
    election.campaign();
    const term = await clock.run(elected);
    const ended = nextEnd(election);
    wire.freeze();
    expect(await clock.run(ended)).toBeInstanceOf(LockLostError);
    const { holders } = await backend.inspect('lock:leader:reports');
    expect(holders.map(({ fencingToken }) => fencingToken)).toEqual([term.fencingToken]);
    expect(election.leadership).toBeUndefined();
    expect(term.signal.reason).toBeInstanceOf(LockLostError);
    expect(() => term.assertHeld()).toThrow(LockLostError);
    wire.heal();
    await clock.run(Promise.all([election.close(), engine.close(0)]));
  });

  it('says once that it cannot be elected when the server refuses it, and again only after it has answered', async () => {
    const clock = new VirtualClock();
    const { election, engine, wire } = candidate(
      memoryOn(new LockTable(() => clock.now())),
      {},
      { clock, callTimeout: 500 },
    );
    const told: string[] = [];
    election.listen({
      unanswered: (error) => void told.push((error as Error).message),
      elected: () => void told.push('elected'),
    });
    wire.ask = () => Promise.reject(new Error('permission denied'));
    election.campaign();
    await clock.advance(300_000);
    expect(told).toEqual([expect.stringContaining('permission denied')]);
    wire.heal();
    await clock.advance(60_000);
    expect(told.slice(1)).toEqual(['elected']);
    await clock.run(Promise.all([election.close(), engine.close(0)]));
    expect(clock.pending).toBe(0);
  });

  it('has one that was cut off stand again when the server is back', async () => {
    const backend = memory();
    const { election, wire } = await standing(backend, { ttl: 100 });
    const [before, ended] = [election.leadership, nextEnd(election)];
    wire.freeze();
    await ended;
    const again = nextTerm(election);
    wire.heal();
    expect((await again).fencingToken).toBeGreaterThan(before?.fencingToken ?? 0n);
  });

  it('says so at the first look after the event loop stood still', async () => {
    const { election } = await standing(memory(), { ttl: 300 });
    const term = election.leadership;
    stall(400);
    expect(term?.signal.aborted).toBe(true);
    expect(election.leadership).toBeUndefined();
  });

  it('waits with the next term for work that has not noticed the end of the last', async () => {
    const { election, wire } = await standing(memory(), { ttl: 100 });
    const stuck = new Gate();
    const begun: (bigint | undefined)[] = [];
    election.lead(async ({ fencingToken }) => {
      begun.push(fencingToken);
      if (begun.length === 1) await stuck.passed;
    });
    const ended = nextEnd(election);
    wire.freeze();
    await ended;
    wire.heal();
    expect(begun).toHaveLength(1);
    const again = nextTerm(election);
    stuck.open();
    await again;
    expect(begun).toHaveLength(2);
  });

  it('gives the office to the next when the work fails, and says why', async () => {
    const backend = memory();
    const [first, second] = [await standing(backend), await standing(backend)];
    const failure = new Error('the disk is full');
    const failed = new Promise((resolve) => first.election.listen({ failed: resolve }));
    const elected = nextTerm(second.election);
    first.election.lead(() => Promise.reject(failure));
    expect(await failed).toBe(failure);
    await elected;
    expect(first.election.leadership).toBeUndefined();
  });

  it('takes work that stops by the signal for no failure', async () => {
    const { election } = await standing(memory());
    const failures: unknown[] = [];
    election.listen({ failed: (error) => failures.push(error) });
    election.lead(async ({ signal }) => {
      await aborted(signal);
      signal.throwIfAborted();
    });
    election.lead(async ({ signal }) => {
      await aborted(signal);
      throw new DOMException('what it awaited was aborted', 'AbortError');
    });
    await election.resign();
    expect(failures).toEqual([]);
  });

  it('begins work that comes late, and leaves out work that was taken back', async () => {
    const { election } = await standing(memory());
    const begun: string[] = [];
    election.lead(() => begun.push('kept'));
    election.lead(() => begun.push('taken back'))();
    await election.resign();
    const again = nextTerm(election);
    election.campaign();
    await again;
    expect(begun).toEqual(['kept', 'taken back', 'kept']);
  });

  it('elects nobody before it is opened, and nobody who resigned before', async () => {
    const backend = memory();
    const gate = new Gate();
    const early = candidate(backend, {}, { opened: gate.passed });
    early.election.campaign();
    await early.election.resign();
    const later = candidate(backend, {}, { opened: gate.passed });
    later.election.campaign();
    const elected = nextTerm(later.election);
    expect(await backend.inspect('lock:leader:reports')).toMatchObject({ holders: [], waiting: 0 });
    gate.open();
    await elected;
    expect(early.election.leadership).toBeUndefined();
  });

  it('is one office for an open end, whatever the defaults of other locks are', async () => {
    const backend = memory();
    const defaults = { limit: 3, wait: 0, maxHold: 20, minHold: 10, renew: false } as const;
    const [first, second] = [await standing(backend, {}, { defaults }), await standing(backend, {}, { defaults })];
    const ended = nextEnd(first.election).then(() => 'ended');
    expect(await Promise.race([ended, setTimeout(60, 'leads')])).toBe('leads');
    expect(second.election.leadership).toBeUndefined();
  });

  it('refuses a name that is none and a lease that the backend cannot keep', () => {
    expect(() => new Election(new LockEngine(memory()), '')).toThrow(LockKeyError);
    expect(() => new Election(new LockEngine(memory()), 'reports', { ttl: 1 })).toThrow(LockConfigurationError);
  });
});

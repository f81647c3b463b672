import { strict as assert } from 'node:assert';
import { LockTimeoutError } from '../../../lock/errors.js';
import type { AcquireOptions, Lock } from '../../../lock/lock.js';
import type { Case } from '../case.js';
import { eventually, sleep, SLACK, together, within } from '../patience.js';
import { Recorder } from '../recorder.js';
import { assertRefused, LONG, nextEvent, type Stage, standInLine } from '../stage.js';
import { Wire } from '../wire.js';

/** A way to lock such that one may enter at a time. */
export interface MutexKind {
  readonly name: string;
  readonly options: Pick<AcquireOptions, 'limit' | 'mode'>;
  /** How many others hold the key all the while. */
  readonly others: number;
}

export const mutexKinds: readonly MutexKind[] = [
  { name: 'a mutex', options: {}, others: 0 },
  { name: 'a semaphore with one permit', options: { limit: 1 }, others: 0 },
  { name: 'a semaphore with four of five permits taken', options: { limit: 5 }, others: 4 },
];

/** What every mutex does, for whatever can be used as one. */
export function mutexCases(kind: MutexKind): readonly Case[] {
  const { options } = kind;
  const cases: Case[] = [
    {
      name: 'one at a time, over processes and within one',
      async run(stage) {
        const { key, engines, recorder } = await prepare(stage, kind, 3);
        let counter = 0;
        await together(15, async (worker) => {
          for (let round = 0; round < 4; round++) {
            await recorder.hold(pick(engines, worker), key, { ...options, wait: LONG, ttl: LONG }, async () => {
              const read = counter;
              await sleep(worker % 3);
              counter = read + 1;
            });
          }
        });
        assert.equal(counter, 60, 'no increment was lost');
        stage.assertCorrect(recorder);
      },
    },
    {
      name: 'tryAcquire gives null while it is taken, the lock when it is free, and never waits',
      async run(stage) {
        const { key, engines } = await prepare(stage, kind, 2);
        const [one, other] = [pick(engines, 0), pick(engines, 1)];
        const lock = await one.tryAcquire(key, { ...options, ttl: LONG });
        assert(lock?.held);
        assert.equal(await other.tryAcquire(key, options), null);
        assert.equal(await one.tryAcquire(key, options), null, 'a process contends with itself');
        await assert.rejects(other.acquire(key, { ...options, wait: 0 }), LockTimeoutError);
        assert.equal(await lock.release(), true);
        assert.equal(lock.held, false);
        const next = await other.tryAcquire(key, options);
        assert(next);
        assert.equal(await next.release(), true);
        // A failed try leaves nothing that holds up the next.
        assert.equal(await (await one.tryAcquire(key, options))?.release(), true);
      },
    },
    {
      name: 'a release wakes the waiter of another process at once, whatever the lease',
      async run(stage) {
        const { key, engines } = await prepare(stage, kind, 2);
        for (let round = 0; round < 5; round++) {
          const lock = await pick(engines, round).acquire(key, { ...options, ttl: LONG });
          const next = await standInLine(pick(engines, round + 1), key, { ...options, ttl: LONG });
          await lock.release();
          await (await within(SLACK + 4 * stage.rtt, 'the waiter has it', next.lock)).release();
        }
      },
    },
    {
      name: 'a timeout tells how long was waited and for whom, and leaves nothing',
      patient: true,
      async run(stage) {
        const { key, engines } = await prepare(stage, kind, 2);
        const lock = await pick(engines, 0).acquire(key, { ...options, ttl: LONG });
        // Connections are made by now. On a busy machine that alone may take longer than the wait.
        assert.equal(await pick(engines, 1).tryAcquire(key, options), null);
        const started = performance.now();
        await assert.rejects(pick(engines, 1).acquire(key, { ...options, wait: 300 }), (error: unknown) => {
          assert(error instanceof LockTimeoutError);
          assert(error.message.includes(key), error.message);
          assert(error.waitedMs >= 300, String(error.waitedMs));
          assert(error.key === key && error.code === 'LOCK_TIMEOUT');
          return true;
        });
        const waited = performance.now() - started;
        assert(waited >= 295 && waited < 300 + SLACK, `waited ${waited} ms`);
        await eventually(
          'nobody waits',
          async () => (await stage.observer.backend.inspect(stage.fullKey(key))).waiting === 0,
        );
        await lock.release();
        const free = await pick(engines, 0).tryAcquire(key, options);
        assert.equal(await free?.release(), true);
      },
    },
    {
      name: 'ten waiters on one permit with a short wait: exactly one wins',
      patient: true,
      async run(stage) {
        const { key, engines } = await prepare(stage, kind, 3);
        const locks: Lock[] = [];
        // Short for the lease, and long enough for a server that gets little of the processor to answer at all.
        const outcomes = await Promise.allSettled(
          Array.from({ length: 10 }, async (_, worker) => {
            locks.push(await pick(engines, worker).acquire(key, { ...options, wait: 1_500, ttl: LONG }));
          }),
        );
        assert.equal(locks.length, 1);
        for (const outcome of outcomes) {
          if (outcome.status === 'rejected') assert(outcome.reason instanceof LockTimeoutError, String(outcome.reason));
        }
        assert.equal(await locks[0]?.release(), true);
      },
    },
    {
      name: 'the place of a holder that died is free when its lease ends, and not before',
      patient: true,
      async run(stage) {
        const wire = new Wire();
        const { key, engines } = await prepare(stage, kind, 1);
        const dying = await stage.engine({ wire });
        const lock = await dying.acquire(key, { ...options, ttl: stage.ttl });
        const next = await standInLine(pick(engines, 0), key, { ...options, ttl: LONG });
        wire.freeze();
        const successor = await within(stage.ttl + SLACK, 'the lease has ended and the next one has it', next.lock);
        assert.equal(lock.held, false, 'the dead one had stopped to believe it by then');
        assert.equal(successor.held, true);
        wire.heal();
        assert.equal(await lock.release(), false, 'told that it was too late');
        assert.equal(successor.held, true);
        assert.equal(await successor.release(), true, 'and harmed nobody');
      },
    },
    {
      name: 'waiters of all processes are served in the order in which they came',
      async run(stage) {
        const { key, engines, recorder } = await prepare(stage, kind, 3);
        if (!stage.traits.fifo) {
          return assertRefused(pick(engines, 0).acquire(key, { ...options, fair: true }), /fair/);
        }
        const lock = await pick(engines, 0).acquire(key, { ...options, ttl: LONG });
        const served: number[] = [];
        const all: Promise<void>[] = [];
        for (let place = 0; place < 12; place++) {
          const engine = pick(engines, place * 7);
          const stands = nextEvent(engine, (event) => event.type === 'waiting');
          all.push(
            recorder.hold(
              engine,
              key,
              { ...options, wait: LONG, ttl: LONG, fair: true },
              async () => void served.push(place),
            ),
          );
          await within(5_000, `waiter ${place} stands in line`, stands);
        }
        await lock.release();
        await within(20_000, 'all are served', Promise.all(all));
        assert.deepEqual(
          served,
          Array.from({ length: 12 }, (_, place) => place),
        );
        stage.assertCorrect(recorder);
      },
    },
    {
      name: 'nobody who comes later gets in before those who wait, not even with tryAcquire',
      async run(stage) {
        if (!stage.traits.fifo) return;
        const { key, engines } = await prepare(stage, kind, 2);
        const lock = await pick(engines, 0).acquire(key, { ...options, ttl: LONG });
        const next = await standInLine(pick(engines, 1), key, { ...options, ttl: LONG });
        let over = false;
        const barge = async () => {
          do {
            assert.equal(await pick(engines, 0).tryAcquire(key, options), null, 'jumped the line');
            await sleep(1);
          } while (!over);
        };
        const handOver = async () => {
          await sleep(20);
          await lock.release();
          const served = await within(SLACK, 'the waiter has it', next.lock);
          await sleep(20);
          over = true;
          return served;
        };
        const [served] = await Promise.all([handOver(), barge()]);
        await served.release();
      },
    },
  ];
  return cases.map((one) => ({
    ...one,
    run: (stage) => ((kind.options.limit ?? 1) > 1 && !stage.traits.semaphores ? refused(stage, kind) : one.run(stage)),
  }));
}

/** What a backend without semaphores owes instead: to say so. */
async function refused(stage: Stage, { options }: MutexKind): Promise<void> {
  const engine = await stage.engine();
  await assertRefused(engine.acquire(stage.key(), options), /limit|semaphore/i);
}

/** A key of which one place is left, and the processes that fight for it. */
async function prepare(stage: Stage, { options, others }: MutexKind, processes: number) {
  const key = stage.key();
  const engines = await stage.engines(processes);
  const recorder = new Recorder(engines);
  if (others > 0) {
    const holder = await stage.engine();
    for (let i = 0; i < others; i++)
      recorder.enter(await holder.acquire(key, { ...options, ttl: LONG }), performance.now(), options.limit);
  }
  return { key, engines, recorder };
}

/** The engine of one worker of many. */
export function pick<T>(engines: readonly T[], worker: number): T {
  const engine = engines[worker % engines.length];
  assert(engine !== undefined);
  return engine;
}

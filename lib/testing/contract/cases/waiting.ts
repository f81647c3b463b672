import { strict as assert } from 'node:assert';
import { LockLostError, LockTimeoutError } from '../../../lock/errors.js';
import type { Case } from '../case.js';
import { deferred, eventually, sleep, SLACK, together, within } from '../patience.js';
import { Recorder } from '../recorder.js';
import { LONG, loss, nextEvent, standInLine } from '../stage.js';
import { Wire } from '../wire.js';
import { pick } from './mutex.js';

const lost = new Error('the wire lost it');

/** DESIGN section 3, 6 to 9: who waits, who is next, and what is left behind. What needs thousands of schedules is in the simulation as well. */
export const waitingCases: readonly Case[] = [
  {
    name: '6 order: a process that waits for the first time has its place from the moment it stands in line',
    async run(stage) {
      if (!stage.traits.fifo) return;
      const [holder, practised] = [await stage.engine(), await stage.engine()];
      const warmUp = await holder.acquire(stage.key(), { ttl: LONG });
      const before = await standInLine(practised, warmUp.key, { ttl: LONG });
      await warmUp.release();
      await (await before.lock).release();
      for (let round = 0; round < 5; round++) {
        const newcomer = await stage.engine();
        const recorder = new Recorder([newcomer, practised]);
        const lock = await holder.acquire(stage.key(), { ttl: LONG });
        const stands = nextEvent(newcomer, (event) => event.type === 'waiting');
        const first = recorder.hold(newcomer, lock.key, { ttl: LONG, wait: LONG });
        await stands;
        const second = recorder.hold(practised, lock.key, { ttl: LONG, wait: LONG });
        await nextEvent(practised, (event) => event.type === 'waiting');
        await lock.release();
        await within(10_000, 'both are served', Promise.all([first, second]));
        stage.assertCorrect(recorder);
      }
    },
  },
  {
    name: '6 order: a waiter that died, froze or left holds up nobody, and whoever was behind it still waits for the holder',
    patient: true,
    async run(stage) {
      const engines = await stage.engines(3);
      const wires = [new Wire(), new Wire()];
      const [dead, frozen] = await Promise.all(wires.map((wire) => stage.engine({ wire })));
      assert(dead && frozen);
      const key = stage.key();
      const lock = await pick(engines, 0).acquire(key, { ttl: LONG });
      const leaving = new AbortController();
      const gone = [
        await standInLine(dead, key, { ttl: stage.ttl }),
        await standInLine(pick(engines, 1), key, { ttl: LONG, signal: leaving.signal }),
        await standInLine(frozen, key, { ttl: stage.ttl }),
      ];
      for (const { lock: never } of gone) never.catch(() => undefined);
      const patient = await standInLine(pick(engines, 2), key, { ttl: LONG });
      for (const wire of wires) wire.freeze();
      leaving.abort();
      let served = false;
      void patient.lock.then(() => (served = true));
      await sleep(Math.min(stage.ttl, 500));
      assert.equal(served, false, 'the holder is still there');
      await lock.release();
      await within(stage.ttl * 2 + 2 * SLACK + 2_000, 'the live waiter has it', patient.lock);
    },
  },
  {
    name: '6 order: one who waits for many leases is still served, and at once',
    patient: true,
    async run(stage) {
      const [engine, other] = await stage.engines(2);
      assert(engine && other);
      const key = stage.key();
      const lock = await engine.acquire(key, { ttl: stage.ttl });
      const next = await standInLine(other, key, { ttl: stage.ttl, wait: Infinity });
      await sleep(stage.ttl * 2.5);
      assert.equal(lock.held, true);
      assert.equal(await lock.release(), true);
      const served = await within(SLACK, 'the waiter has it', next.lock);
      assert.equal(served.held, true);
      await served.release();
    },
  },
  {
    name: '7 no residue: who timed out, was aborted or died leaves no place, no later grant and nothing on the server',
    async run(stage) {
      const wire = new Wire();
      const [engine, other, dying] = [await stage.engine(), await stage.engine(), await stage.engine({ wire })];
      const key = stage.key();
      const lock = await engine.acquire(key, { ttl: LONG });
      const abort = new AbortController();
      const aborted = await standInLine(other, key, { ttl: LONG, signal: abort.signal });
      const timedOut = assert.rejects(other.acquire(key, { wait: 100, ttl: LONG }), LockTimeoutError);
      const instant = new AbortController();
      const stopped = assert.rejects(other.acquire(key, { ttl: LONG, signal: instant.signal }), { name: 'AbortError' });
      const dead = await standInLine(dying, key, { ttl: stage.ttl });
      dead.lock.catch(() => undefined);
      setTimeout(() => instant.abort(), 5);
      abort.abort();
      await assert.rejects(aborted.lock, { name: 'AbortError' });
      await Promise.all([timedOut, stopped]);
      await dying.close(0);
      await eventually(
        'nobody waits',
        async () => (await stage.observer.backend.inspect(stage.fullKey(key))).waiting === 0,
      );
      await lock.release();
      const free = await engine.tryAcquire(key, { ttl: LONG });
      assert(free, 'nobody else was given it');
      await free.release();
      await stage.assertNoResidue(key);
    },
  },
  {
    name: '7 no residue: a grant that meets its cancellation is handed on at once',
    async run(stage) {
      const [engine, leaver, successor] = [await stage.engine(), await stage.engine(), await stage.engine()];
      await together(20, async (round) => {
        const key = stage.key();
        const lock = await engine.acquire(key, { ttl: LONG });
        const abort = new AbortController();
        const torn = leaver.acquire(key, { ttl: LONG, wait: LONG, signal: abort.signal });
        const next = successor.acquire(key, { ttl: LONG, wait: LONG });
        await eventually('both wait', async () => {
          return !stage.traits.fifo || (await stage.observer.backend.inspect(stage.fullKey(key))).waiting === 2;
        });
        const released = lock.release();
        setTimeout(() => abort.abort(), round / 4);
        const [mine] = await Promise.allSettled([torn, released]);
        if (mine.status === 'fulfilled') await mine.value.release();
        await (await within(5_000, 'the one behind has it', next)).release();
      });
    },
  },
  {
    name: '8 push with a net: a lost message costs one bounded re-check, not the lease',
    patient: true,
    async run(stage) {
      const wire = new Wire();
      const [engine, deaf] = [await stage.engine(), await stage.engine({ wire })];
      wire.push = () => undefined;
      const key = stage.key();
      const lock = await engine.acquire(key, { ttl: LONG });
      const next = await standInLine(deaf, key, { ttl: LONG });
      await lock.release();
      await (await within(10_000, 'the deaf waiter has it', next.lock)).release();
    },
  },
  {
    name: '9 renewal is independent: one lock that is lost takes no other with it, and one failure is an event and is made good',
    patient: true,
    async run(stage) {
      const wire = new Wire();
      const engine = await stage.engine({ wire });
      const locks = await together(6, () => engine.acquire(stage.key(), { ttl: stage.ttl }));
      const victim = locks[2];
      assert(victim);
      let failures = 1;
      wire.ask = (question, send) => (question === 'renew' && failures-- > 0 ? Promise.reject(lost) : send());
      const told = loss(victim);
      const failed = nextEvent(engine, (event) => event.type === 'renewal-failed');
      await stage.observer.backend.forceRelease(stage.fullKey(victim.key));
      assert((await within(stage.ttl + SLACK, 'the loss is told', told)) instanceof LockLostError);
      const event = await within(stage.ttl + SLACK, 'the failure is an event', failed);
      assert(event.type === 'renewal-failed' && event.error !== undefined);
      await sleep(stage.ttl * 2);
      for (const lock of locks) assert.equal(lock.held, lock !== victim);
      for (const lock of locks) assert.equal(await lock.release(), lock !== victim);
    },
  },
  {
    name: '9 renewal is independent: a release during a renewal in flight leaves nothing that comes back',
    patient: true,
    async run(stage) {
      const wire = new Wire();
      const engine = await stage.engine({ wire });
      const key = stage.key();
      const lock = await engine.acquire(key, { ttl: stage.ttl });
      const inFlight = deferred();
      wire.ask = async (question, send) => {
        if (question !== 'renew') return send();
        inFlight.resolve();
        await sleep(200);
        return send();
      };
      await within(stage.ttl, 'a renewal is under way', inFlight.promise);
      assert.equal(await lock.release(), true);
      await sleep(300);
      assert.equal(await stage.untouched(key), true);
    },
  },
];

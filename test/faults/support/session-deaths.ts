import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LockEngine } from '../../../lib/engine/engine.js';
import { LockBackendError, LockLostError } from '../../../lib/lock/errors.js';
import { eventually } from '../../servers/eventually.js';
import { startSilentProxy } from '../../servers/silent-proxy.js';
import { holderEnds } from './holder-ends.js';
import { acquireIn, inLine } from './in-pod.js';
import { now } from './machine-clock.js';
import { type Pod, startPods } from './pod.js';
import { rounds } from './rounds.js';
import type { SessionKind, SessionServer, SessionServers } from './session-servers.js';

const ttl = 2_000;
const patient = { wait: '30s', ttl } as const;

/**
 * What becomes of locks when processes, servers and connections fail. Who dies or freezes is a process of its own; who lives on is in the
 * test's, each with connections of its own.
 */
export function describeSessionDeaths(kind: SessionKind): void {
  describe(`Locks in ${kind.name}`, { timeout: 60_000 }, () => {
    const { name, endsWithin, frozenTtl, outlivesSilence } = kind;
    /** For how long the server freezes, and the session meanwhile: in `npm test` both are shorter. */
    const frozen = rounds > 1 ? { ttl: frozenTtl, ms: 10_000 } : { ttl, ms: 2 * ttl };
    let servers: SessionServers;
    let server: SessionServer;
    const engines: LockEngine[] = [];

    beforeAll(async () => {
      servers = await kind.start();
      [server] = servers.members as [SessionServer];
    });
    afterEach(() => Promise.all(engines.splice(0).map((engine) => engine.close(0))));
    afterAll(() => servers?.[Symbol.asyncDispose]());

    /** One more process. */
    function engine(host = server.host): LockEngine {
      const made = new LockEngine(kind.backend([host]));
      engines.push(made);
      return made;
    }
    const figure = (what: string): void => console.log(`${name}, ${what}`);
    const nothingIsLeft = (): Promise<unknown> =>
      eventually('nothing is left', async () => (await kind.entries(server.host)).length === 0);

    describe('when a process dies', () => {
      async function ends(how: 'killed' | 'frozen'): Promise<void> {
        const line = [engine(), engine()] as const;
        const within = endsWithin * ttl + 1_500;
        const after = await holderEnds(how, { pod: kind.pod([server.host]), line, ttl, patient, within });
        figure(`holder ${how}: the next one ran after ${after.toFixed(0)} ms, with a session of ${ttl} ms`);
      }

      async function waitersEnd(): Promise<void> {
        await using pods = await startPods(2, kind.pod([server.host]));
        const [holder, next] = [engine(), engine()];
        const lock = await holder.acquire('waiters', { ttl });
        for (const [index, pod] of pods.entries()) {
          void acquireIn(pod, 'waiters', patient);
          await inLine(holder, 'waiters', index + 1);
        }
        const turn = next.acquire('waiters', patient);
        await inLine(holder, 'waiters', 3);
        await Promise.all(pods.map((pod) => pod.kill()));
        const killedAt = now();
        await lock.release();
        await (await turn).release();
        expect(now() - killedAt).toBeLessThan(endsWithin * ttl + 1_500);
      }

      // On keys of their own, and side by side: each waits for the end of a session.
      it('a holder killed, a holder frozen, waiters killed: the next one enters when the session ends, and no later', async () => {
        await Promise.all([ends('killed'), ends('frozen'), waitersEnd()]);
        await nothingIsLeft();
      });
    });

    describe('when the only server fails', () => {
      it('frozen for longer than a session: the holder is told before it could end, and afterwards all is clean', async () => {
        const { ttl } = frozen;
        const [holder, other] = [engine(), engine()];
        const lock = await holder.acquire('frozen', { ttl });
        const waiting = other.acquire('frozen', { ttl, wait: '60s' });
        await inLine(holder, 'frozen', 1);
        const aborted = new Promise<number>((resolve) =>
          lock.signal.addEventListener('abort', () => resolve(now()), { once: true }),
        );
        const frozenAt = now();
        server.pause();
        // Asked in this time the server may have it or not; in any case nobody runs under it.
        const asked = holder.acquire('asked', { ttl, wait: '1s' }).catch((error: unknown) => error);
        const told = (await aborted) - frozenAt;
        figure(
          `server frozen for ${frozen.ms} ms: the holder was told after ${told.toFixed(0)} ms of a session of ${ttl} ms`,
        );
        expect(told).toBeLessThan(ttl);
        expect(lock.held).toBe(false);
        expect(lock.signal.reason).toBeInstanceOf(LockLostError);
        expect(await asked).toBeInstanceOf(LockBackendError);
        await sleep(Math.max(0, frozenAt + frozen.ms - now()));
        server.resume();

        const next = await waiting;
        expect(next.held).toBe(true);
        expect(next.fencingToken).toBeGreaterThan(lock.fencingToken!);
        expect(await lock.release()).toBe(false);
        expect(await next.release()).toBe(true);
        await (await holder.acquire('asked', { ttl, wait: '30s' })).release();
        await nothingIsLeft();
      });

      /** A holder and two who wait, each as a process of its own; the waiters hold it for a moment when it is their turn. */
      async function line(ttl: number) {
        const [holder, ...others] = [engine(), engine(), engine()] as const;
        const lock = await holder.acquire('restarted', { ttl });
        const turns: Promise<boolean>[] = [];
        for (const each of others) {
          const turn = each.acquire('restarted', { wait: '30s', ttl });
          const served = turn.then(async (held) => {
            await sleep(20);
            return held.release();
          });
          served.catch(() => undefined);
          turns.push(served);
          await inLine(holder, 'restarted', turns.length);
        }
        return { holder, lock, turns };
      }

      it('restarted with its data: locks and places in line are still there', async () => {
        // Some servers take two seconds to start.
        const long = 5_000;
        const { lock, turns } = await line(long);
        const startedAt = now();
        await server.restart({ keepData: true });
        // Long enough to have lost it.
        await sleep(Math.max(0, startedAt + long * 1.2 - now()));
        expect(lock.held).toBe(true);
        expect(await lock.release()).toBe(true);
        expect(await Promise.all(turns)).toEqual([true, true]);
        await nothingIsLeft();
      });

      it('restarted without its data: the holder is told, and whoever waited stands in line again', async () => {
        const { holder, lock, turns } = await line(ttl);
        const events: string[] = [];
        holder.listen(({ type }) => events.push(type));
        await server.restart({ keepData: false });
        await eventually('the holder is told', () => !lock.held, { within: ttl });
        expect(events).toContain('lost');
        expect(await lock.release()).toBe(false);
        expect(await Promise.all(turns)).toEqual([true, true]);
        await nothingIsLeft();
      });
    });

    describe('when connections go silent, and the server is well', () => {
      it('the lock is kept, and a waiter is served within a session', async () => {
        const [, port] = server.host.split(':');
        const proxy = await startSilentProxy(Number(port));
        const through = `127.0.0.1:${proxy.port}`;
        const [holder, waiter, other] = [engine(through), engine(through), engine()];
        const kept = await holder.acquire('kept', { ttl: outlivesSilence });
        const lock = await other.acquire('awaited', { ttl: outlivesSilence });
        const waiting = waiter.acquire('awaited', { wait: '30s', ttl: outlivesSilence });
        await inLine(other, 'awaited', 1);
        expect(proxy.silence('all')).toBeGreaterThan(0);
        const silentAt = now();
        await lock.release();
        const served = await waiting;
        figure(`silent connection: the waiter was served after ${(now() - silentAt).toFixed(0)} ms`);
        expect(now() - silentAt).toBeLessThan(outlivesSilence);
        await sleep(Math.max(0, silentAt + outlivesSilence - now()));
        expect(kept.held).toBe(true);
        expect([await kept.release(), await served.release()]).toEqual([true, true]);
        await Promise.all(engines.splice(0).map((each) => each.close(0)));
        await proxy.stop();
        await nothingIsLeft();
      });
    });

    describe('a process that uses them', () => {
      /** A lock that had to be waited for, so that the process has its session, its connections and its watches. */
      async function contendedIn(pod: Pod, key: string): Promise<LockEngine> {
        const here = engine();
        const lock = await here.acquire(key, { ttl });
        const turn = acquireIn(pod, key, { ttl });
        await inLine(here, key, 1);
        await lock.release();
        await turn;
        return here;
      }

      /** Milliseconds until it ends by itself, once nothing but the locks could keep it. */
      async function leftAlone(pod: Pod): Promise<number> {
        const startedAt = now();
        await pod.run(({ letGo }) => letGo());
        expect(await pod.exited).toBe(0);
        return now() - startedAt;
      }

      it('ends by itself within a second of closing, and gives everything back', async () => {
        await using pods = await startPods(1, kind.pod([server.host]));
        const here = await contendedIn(pods[0]!, 'closed');
        // What `app.close()` does; it would wait for the holder.
        await pods[0]!.run(({ engine }) => engine.close(0));
        expect(await leftAlone(pods[0]!)).toBeLessThan(1_000);
        expect(await here.tryAcquire('closed', { ttl }).then((lock) => lock?.release())).toBe(true);
      });

      it('is not kept alive by what it holds, nor by connections that nobody closed', async () => {
        await using pods = await startPods(1, kind.pod([server.host]));
        await contendedIn(pods[0]!, 'held on');
        expect(await leftAlone(pods[0]!)).toBeLessThan(3_000);
      });

      it('is kept alive by a lock that it waits for', async () => {
        await using pods = await startPods(1, kind.pod([server.host]));
        const [pod] = pods as unknown as [Pod];
        const here = engine();
        const lock = await here.acquire('waited for', { ttl });
        await pod.run(({ engine, say }) => {
          void engine.acquire('waited for', { wait: '20s' }).then((lock) => say('acquired', lock.fencingToken));
        });
        await inLine(here, 'waited for', 1);
        await pod.run(({ letGo }) => letGo());
        const ended = await Promise.race([pod.exited, sleep(2_000, 'still there')]);
        expect(ended).toBe('still there');
        await lock.release();
        expect((await pod.hears('acquired')).value).toBeGreaterThan(lock.fencingToken ?? 0n);
        expect(await pod.exited).toBe(0);
      });
    });
  });
}

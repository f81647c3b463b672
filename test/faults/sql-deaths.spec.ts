import { afterEach, beforeAll, afterAll, describe, expect, it } from 'vitest';
import { LockEngine } from '../../lib/engine/engine.js';
import { eventually } from '../servers/eventually.js';
import { holderEnds } from './support/holder-ends.js';
import { acquireIn, inLine } from './support/in-pod.js';
import { now } from './support/machine-clock.js';
import { type Pod, startPods } from './support/pod.js';
import { sqlKinds, type SqlServer } from './support/sql-servers.js';

/** The lease of a pushed grant until its first renewal: `CLAIM_TTL_MS` in lib/engine/options/options.ts. */
const claimTime = 3_000;
const patient = { wait: '20s' } as const;

// Who dies or freezes is a process of its own; who lives on is in the test's, each with connections of its own.
describe.each(sqlKinds)('When a process dies or freezes on a lock of $name', { timeout: 60_000 }, ({ name, start }) => {
  let server: SqlServer;
  const engines: LockEngine[] = [];

  beforeAll(async () => {
    server = await start();
  });
  afterEach(() => Promise.all(engines.splice(0).map((engine) => engine.close(0))));
  afterAll(() => server?.stop());

  function engine(): LockEngine {
    const made = new LockEngine(server.backend());
    engines.push(made);
    return made;
  }
  const figure = (what: string, milliseconds: number): void =>
    console.log(`${name}, ${what}: the next one ran after ${milliseconds.toFixed(0)} ms`);

  it.each(['killed', 'frozen'] as const)(
    'a holder that is %s costs the next one its lease and no more than a second',
    async (how) => {
      const [line, ttl] = [[engine(), engine()] as const, 2_000];
      const after = await holderEnds(how, { pod: server.pod, line, ttl, patient, within: ttl + 1_000 });
      figure(`holder ${how}, with a lease of ${ttl} ms`, after);
    },
  );

  it('waiters that were killed are passed over by the release itself', async () => {
    const key = 'waiters killed';
    await using pods = await startPods(2, server.pod);
    const [holder, next] = [engine(), engine()];
    const lock = await holder.acquire(key);
    for (const [index, pod] of pods.entries()) {
      void acquireIn(pod, key, patient);
      await inLine(holder, key, index + 1);
    }
    const turn = next.acquire(key, patient);
    turn.catch(() => undefined);
    await inLine(holder, key, 3);
    await eventually('all of them can be reached', async () => (await server.reachable()) === 3);
    await Promise.all(pods.map((pod) => pod.kill()));
    await eventually('the server has noticed', async () => (await server.reachable()) === 1);
    const releasedAt = now();
    await lock.release();
    // By the answer to the release the next one is the holder: dead ones cost neither a timeout nor a second look.
    const [present] = (await holder.inspect(key)).holders;
    const granted = await turn;
    figure('two waiters ahead killed', now() - releasedAt);
    expect(present?.fencingToken).toBe(granted.fencingToken);
    expect(await granted.release()).toBe(true);
  });

  it('a waiter that froze costs the next one its claim, and does not run on its stale grant', async () => {
    const key = 'granted while frozen';
    await using pods = await startPods(1, server.pod);
    const [frozen] = pods as unknown as [Pod];
    const [holder, next] = [engine(), engine()];
    const lock = await holder.acquire(key);
    const late = acquireIn(frozen, key, patient);
    await inLine(holder, key, 1);
    const turn = next.acquire(key, patient);
    await inLine(holder, key, 2);
    frozen.freeze();
    const releasedAt = now();
    await lock.release();
    const granted = await turn;
    const after = now() - releasedAt;
    expect(after).toBeGreaterThan(claimTime / 2);
    expect(after).toBeLessThan(claimTime + 1_000);
    figure('waiter frozen', after);
    frozen.thaw();
    await inLine(holder, key, 1);
    expect(granted.held).toBe(true);
    const endedAt = now();
    await granted.release();
    const woken = await late;
    expect(woken.at).toBeGreaterThan(endedAt);
    expect(woken.token).toBeGreaterThan(granted.fencingToken ?? 0n);
  });
});

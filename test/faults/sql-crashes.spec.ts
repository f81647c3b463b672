import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Pod, type Pods, startPods } from './support/pod.js';
import { rounds, withinRounds } from './support/rounds.js';
import { sqlKinds, type SqlServer } from './support/sql-servers.js';

/** From when to when a process believed that it held the lock, by the machine's clock. */
interface Section {
  readonly token: bigint;
  readonly from: number;
  readonly to: number;
}

const workers = 4;
const total = 600 * rounds;
/** One kill for so many sections. */
const every = 200;

describe.each(sqlKinds)('A $name that is killed and started again under load', ({ name, start }) => {
  let server: SqlServer;
  let pods: Pods;

  beforeAll(async () => {
    server = await start();
    pods = await startPods(4, server.pod);
    await Promise.all(pods.map((pod) => pod.run(({ engine }) => engine.ping())));
  });
  afterAll(async () => {
    await pods?.[Symbol.asyncDispose]();
    await server?.stop();
  });

  const work = (pod: Pod): Promise<Section[]> =>
    pod.run(
      async ({ engine, now, sleep, say }, { workers, share }) => {
        const sections: { token: bigint; from: number; to: number }[] = [];
        const worker = async () => {
          for (let i = 0; i < share; i++) {
            const lock = await engine.acquire('crash', { wait: '120s', ttl: 2_000 });
            const from = now();
            let lost = Infinity;
            lock.signal.addEventListener('abort', () => (lost = now()));
            await sleep(1);
            sections.push({ token: lock.fencingToken ?? 0n, from, to: Math.min(now(), lost) });
            say('section');
            // Unanswered, it is repeated behind our back.
            await lock.release().catch(() => undefined);
          }
        };
        await Promise.all(Array.from({ length: workers }, worker));
        return sections;
      },
      { workers, share: Math.ceil(total / 4 / workers) },
    );

  it(
    'no token goes backwards, no two believe in it at a time, and everybody is served',
    async () => {
      let ended = false;
      const working = Promise.all(pods.map(work)).finally(() => (ended = true));
      let kills = 0;
      const [pod] = pods as unknown as [Pod];
      for (let heard = 0; heard < total / 4 - 20;) {
        await pod.hears('section', 60_000);
        if (++heard % (every / 4) !== every / 8) continue;
        await server.kill();
        await server.restart();
        kills++;
      }
      expect(ended, 'it was killed while they worked').toBe(false);
      const inOrder = (await working).flat().sort((a, b) => (a.token < b.token ? -1 : 1));
      expect(inOrder.length).toBeGreaterThanOrEqual(total);
      expect(new Set(inOrder.map(({ token }) => token)).size).toBe(inOrder.length);
      // In the order of the tokens nobody began before the one before it had ended.
      const together = inOrder.filter(({ from }, i) => i > 0 && from < (inOrder[i - 1]?.to ?? 0));
      expect(together).toEqual([]);
      console.log(`${name}: ${inOrder.length} contended acquisitions over ${kills} kills`);
    },
    withinRounds(100),
  );
});

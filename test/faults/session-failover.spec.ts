import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../servers/eventually.js';
import { Dice } from '../simulation/dice.js';
import { now } from './support/machine-clock.js';
import { type Pods, startPods } from './support/pod.js';
import { rounds } from './support/rounds.js';
import { type SessionServers, sessionKinds } from './support/session-servers.js';

/** From when to when a process believed that it held the lock, by the machine's clock. */
interface Section {
  readonly key: string;
  readonly token: bigint;
  readonly from: number;
  /** The last moment at which it was still believed in. */
  readonly to: number;
}

interface Report {
  readonly sections: readonly Section[];
  readonly asked: number;
  /** Names of errors, and how often. */
  readonly told: Readonly<Record<string, number>>;
}

/** Each round two disasters, the full run twenty. */
const disasters = Math.min(20, 2 * rounds);
const firstSeed = Number(process.env['FAULT_SEED'] ?? 1);
const seconds = (count: number): number => count * 1_000;
// For etcd, etcd-failover.spec.ts tells more.
const kinds = sessionKinds.filter(({ name }) => name !== 'etcd');

describe.each(kinds)(
  'A $name of three that loses its leader again and again, with nine workers on three keys',
  (kind) => {
    let servers: SessionServers;
    let pods: Pods;

    beforeAll(async () => {
      servers = await kind.start(3);
      await servers.leader();
      pods = await startPods(3, kind.pod(servers.members.map(({ host }) => host)));
      for (const pod of pods)
        await eventually('it is connected', () => pod.run(({ engine }) => engine.ping()).then(() => true));
    }, seconds(90));
    afterAll(async () => {
      await pods?.[Symbol.asyncDispose]();
      await servers?.[Symbol.asyncDispose]();
    });

    /** Begins to work in every pod; returns how to end it. */
    async function load(): Promise<() => Promise<Report[]>> {
      const quick = ['a', 'b'];
      await Promise.all(
        pods.map((pod) =>
          pod.run(({ engine, kept, now, sleep }, quick) => {
            const sections: Section[] = [];
            const told: Record<string, number> = {};
            let asked = 0;
            kept['over'] = false;
            const worker = async (index: number, keys: readonly string[], milliseconds: number): Promise<void> => {
              for (let turn = index; !kept['over']; turn++) {
                const key = keys[turn % keys.length]!;
                asked++;
                try {
                  const lock = await engine.acquire(key, { wait: '60s', ttl: '6s' });
                  const from = now();
                  let to = lock.held ? from : 0;
                  while (lock.held && !kept['over'] && now() < from + milliseconds) {
                    await sleep(2);
                    const at = now();
                    if (lock.held) to = at;
                  }
                  if (to > 0) sections.push({ key, token: lock.fencingToken ?? 0n, from, to });
                  await lock.release();
                } catch (error) {
                  const { name } = error as Error;
                  told[name] = (told[name] ?? 0) + 1;
                  await sleep(50);
                }
              }
            };
            // And one that holds on while leaders come and go.
            const workers = Promise.all([
              ...[0, 1].map((index) => worker(index, quick, 8)),
              worker(0, ['held on'], 8_000),
            ]);
            kept['end'] = async () => {
              kept['over'] = true;
              await workers;
              return { sections, asked, told };
            };
          }, quick),
        ),
      );
      return () => Promise.all(pods.map((pod) => pod.run(({ kept }) => kept['end']() as Promise<Report>)));
    }

    it(
      `${disasters} times: nobody believes in a lock that another has, everybody is served or told, and nothing is left behind`,
      { timeout: seconds(60 + disasters * 20) },
      async () => {
        const end = await load();
        await sleep(500);
        const struck: { seed: number; what: string; from: number; to: number }[] = [];
        for (let seed = firstSeed; seed < firstSeed + disasters; seed++) {
          const dice = new Dice(seed);
          const leader = await servers.leader();
          const frozen = seed % 2 === 0;
          const duration = Math.round(dice.between(200, 3_500));
          const from = now();
          if (frozen) leader.pause();
          else await leader.kill();
          await sleep(duration);
          if (frozen) leader.resume();
          else await leader.restart();
          struck.push({ seed, what: `leader ${frozen ? 'frozen' : 'killed'} for ${duration} ms`, from, to: now() });
          await servers.leader();
          await sleep(dice.between(500, 1_500));
        }
        const over = now();
        const reports = await end();
        const sections = reports.flatMap((report) => report.sections).sort((one, other) => one.from - other.from);
        const quick = sections.filter(({ key }) => key !== 'held on').map(({ from }) => from);
        for (const [index, { seed, what, from }] of struck.entries()) {
          const until = struck[index + 1]?.from ?? over;
          const times = [from, ...quick.filter((at) => at > from && at < until), until];
          const gap = Math.max(...times.slice(1).map((at, i) => at - times[i]!));
          console.log(`${kind.name}, seed ${seed}: ${what}; nobody let in for ${Math.round(gap)} ms`);
          expect(gap, `seed ${seed}: time without service`).toBeLessThan(15_000);
        }
        const told = reports.map((report) => JSON.stringify(report.told)).join(' ');
        const asked = reports.reduce((sum, report) => sum + report.asked, 0);
        const through = struck.filter(({ from, to }) =>
          sections.some((section) => section.key === 'held on' && section.from < from && section.to > to),
        );
        console.log(
          `${kind.name}: ${sections.length} of ${asked} calls served; told: ${told}; a lock was held on through ${through.length} of ${struck.length}`,
        );
        expect(sections.length).toBeGreaterThan(disasters);
        for (const key of ['a', 'b', 'held on']) {
          const line = sections.filter((section) => section.key === key);
          const overlap = line.findIndex((section, index) => index > 0 && section.from < line[index - 1]!.to);
          expect(line.slice(Math.max(0, overlap - 1), overlap + 1), `two inside ${key}`).toEqual([]);
          const backwards = line.findIndex((section, index) => index > 0 && section.token <= line[index - 1]!.token);
          expect(line.slice(Math.max(0, backwards - 1), backwards + 1), `tokens of ${key}`).toEqual([]);
        }
        const errors = reports.flatMap((report) => Object.keys(report.told));
        expect(errors.filter((name) => !/^Lock(Backend|Timeout)Error$/.test(name))).toEqual([]);
        const host = servers.members[0]?.host ?? '';
        await eventually('no orphan is left', async () => (await kind.entries(host)).length === 0, {
          within: seconds(25),
        });
      },
    );
  },
);

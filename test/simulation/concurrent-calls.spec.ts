import { describe, expect, it } from 'vitest';
import { memoryOn } from '../../lib/backends/memory/index.js';
import { LockTable } from '../../lib/backends/memory/lock-table.js';
import { LockEngine } from '../../lib/engine/engine.js';
import type { Lock } from '../../lib/lock/lock.js';
import { FaultyNetwork } from '../../lib/testing/faulty-network.js';
import { Dice } from './dice.js';
import { qualities } from './scenario.js';
import { VirtualClock } from './virtual-clock.js';

/** `SIM_SEEDS=1000` for as many as CI plays. */
const SEEDS = Number(process.env['SIM_SEEDS'] ?? 100);
const HORIZON_MS = 4_000;
/** How many tokens a process may give out by itself. */
const MOST_UNCONFIRMED = 32n;

interface Played {
  /** The first belief that the server does not share. */
  readonly violation: string | undefined;
  readonly checks: number;
  readonly acquired: number;
}

/** Six callers in two processes who extend, downgrade and release without waiting for each other's answers, on a bad network. */
async function play(seed: number, believedLonger = 0): Promise<Played> {
  const dice = new Dice(seed);
  const world = new VirtualClock();
  const serverClock = world.process({ rate: dice.between(0.996, 1.004) });
  const table = new LockTable(() => serverClock.now());
  const quality = dice.pick(qualities);
  const fair = dice.chance(0.5);
  const ttls = [dice.whole(250, 900), ...(dice.chance(0.5) ? [dice.whole(900, 5_000)] : [])];
  const held = new Set<{ readonly lock: Lock; readonly by: (typeof processes)[number] }>();
  let [over, acquired, checks] = [false, 0, 0];

  const processes = ['A', 'B'].map((name) => {
    const clock = world.process({ rate: dice.between(0.996, 1.004), offset: dice.between(0, 1e6) });
    const network = new FaultyNetwork({
      ...{ quality, clock: world, random: dice.random, ordered: dice.chance(0.4) },
      receive: (run) => clock.receive(run),
    });
    const options = { clock, random: dice.random, callTimeout: dice.whole(80, 400), prefix: '', name };
    return { name, clock, network, engine: new LockEngine(network.to(memoryOn(table)), options) };
  });

  const work = async (by: (typeof processes)[number]): Promise<void> => {
    const sleep = (ms: number): Promise<void> => new Promise((resolve) => void by.clock.after(ms, resolve));
    const ignored = (call: Promise<unknown>): Promise<unknown> => call.catch(() => undefined);
    while (!over) {
      await sleep(dice.between(0, 60));
      const lock = await by.engine
        .acquire(dice.chance(0.2) ? ['a', 'b'] : dice.pick(['a', 'b']), {
          ...{ ttl: dice.pick(ttls), wait: dice.pick([0, 300, 3_000]), fair, renew: !dice.chance(0.1) },
          mode: dice.chance(0.15) ? 'shared' : 'exclusive',
        })
        .catch(() => undefined);
      if (!lock) continue;
      acquired++;
      const entry = { lock, by };
      held.add(entry);
      const calls: Promise<unknown>[] = [];
      const extend = (): void => void calls.push(ignored(lock.extend(dice.pick([100, 300, 1_000, 3_000, 8_000]))));
      for (let i = dice.whole(0, 4); i > 0; i--) {
        const what = dice.weighted({ extend: 5, twice: 2, downgrade: 1, nothing: 2 });
        if (what === 'extend' || what === 'twice') extend();
        if (what === 'twice') extend();
        if (what === 'downgrade' && lock.mode === 'exclusive') calls.push(ignored(lock.downgrade()));
        if (dice.chance(0.5)) await sleep(dice.between(0, 80));
      }
      if (dice.chance(0.5)) await Promise.all(calls);
      await sleep(dice.between(0, dice.chance(0.1) ? 1_500 : 40));
      held.delete(entry);
      void lock.release();
    }
  };

  /** What the server keeps of it, for the owner itself or for one of its process that it took the key over from. */
  const keptFor = (key: string, instance: string, token: bigint): number => {
    const mine = table.inspect(key).holders.filter(({ owner, fencingToken = -1n }) => {
      return owner.startsWith(`${instance}:`) && fencingToken <= token && token - fencingToken <= MOST_UNCONFIRMED;
    });
    return Math.max(-1, ...mine.map(({ remainingMs }) => remainingMs));
  };

  const check = (): string | undefined => {
    for (const { lock, by } of held) {
      // What it says of several keys is the least of them.
      const believed = lock.remainingMs;
      if (believed === 0) continue;
      for (const [key, token] of lock.fencingTokens) {
        checks++;
        const kept = keptFor(key, by.engine.instance, token);
        if (kept < (believed + believedLonger) * 0.99 - 0.01)
          return `at ${world.now().toFixed(0)}: ${by.name} believes in ${key} for ${believed.toFixed(0)} ms, the server keeps it for ${kept.toFixed(0)} ms`;
      }
    }
    return undefined;
  };

  const strike = (): void => {
    const { clock, network } = dice.pick(processes);
    const isStall = dice.chance(0.5);
    if (isStall) clock.freeze();
    else network.cut();
    world.after(dice.between(5, 1_200), () => (isStall ? clock.thaw() : network.mend()));
    world.after(dice.between(0, 900), strike);
  };

  for (const by of processes) for (let i = 0; i < 3; i++) void work(by);
  world.after(dice.between(0, 900), strike);
  let violation: string | undefined;
  while (!violation && (await world.step(HORIZON_MS))) violation = check();
  over = true;
  return { violation, checks, acquired };
}

describe('calls on one lock that do not wait for each other', () => {
  it("leave no belief that outlasts the server's lease", async () => {
    let [checks, acquired] = [0, 0];
    for (let seed = 1; seed <= SEEDS; seed++) {
      const played = await play(seed);
      expect(played.violation, `seed ${seed}`).toBeUndefined();
      checks += played.checks;
      acquired += played.acquired;
    }
    // It was about something.
    expect(acquired).toBeGreaterThan(10 * SEEDS);
    expect(checks).toBeGreaterThan(200 * SEEDS);
  }, 600_000);

  it('would be found out if one believed in its lease a quarter of a second longer', async () => {
    const { violation } = await play(1, 250);
    expect(violation).toMatch(/believes in [ab] for \d+ ms, the server keeps it for -?\d+ ms/);
  });
});

import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { redlock } from '../../lib/backends/redlock/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import type { Lock } from '../../lib/lock/lock.js';
import { eventually } from '../servers/eventually.js';
import { type RedisServer, startRedis } from '../servers/redis.js';
import { Dice } from '../simulation/dice.js';
import { rounds, withinRounds } from './support/rounds.js';

/** `npm run test:faults` plays twenty rounds: 10,000 acquisitions of each kind. */
const ACQUISITIONS = 500 * rounds;
const KEYS = ['one', 'two', 'three'];
const PROCESSES = 4;
/** So often others are frozen, however quick the acquisitions are. */
const SWAPS = 6;

interface Freezing {
  /** How often others were frozen. */
  swaps(): number;
  end(): void;
}

describe('while any two of five masters are frozen, and each moment others', () => {
  let servers: readonly RedisServer[] = [];
  beforeAll(async () => {
    servers = await Promise.all(Array.from({ length: 5 }, () => startRedis({ own: true })));
  });
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.stop()));
  });

  /** Freezes two by chance, then two others, and never more. */
  function freezeByTurns(dice: Dice): Freezing {
    let swaps = 0;
    let timer: NodeJS.Timeout | undefined;
    const swap = (): void => {
      const [one, other] = [...servers.keys()].sort(() => dice.random() - 0.5);
      for (const [index, server] of servers.entries()) if (index !== one && index !== other) server.resume();
      for (const index of [one, other]) servers[index ?? 0]?.pause();
      swaps++;
      timer = setTimeout(swap, dice.between(50, 500));
    };
    swap();
    return {
      swaps: () => swaps,
      end() {
        clearTimeout(timer);
        for (const server of servers) server.resume();
      },
    };
  }

  it.each([
    ['no two believe that they are inside', false],
    ['no two believe that they are inside, and no token of `fencing` is smaller than one before', true],
  ])(
    '%s',
    async (_, fencing) => {
      const dice = new Dice(16);
      const urls = servers.map(({ url }) => url);
      const engines = Array.from(
        { length: PROCESSES },
        () =>
          new LockEngine(redlock({ urls, restartGuard: false, nodeTimeout: '100ms', fencing }), {
            prefix: `${fencing}:`,
            defaults: { ttl: '5s', wait: '60s' },
          }),
      );
      await Promise.all(engines.map(async (engine) => (await engine.acquire('warm')).release()));
      const freezing = freezeByTurns(dice);
      const inside = new Map<string, Set<Lock>>(KEYS.map((key) => [key, new Set()]));
      const tokens = new Map<string, bigint>();
      const wrong: string[] = [];
      let acquired = 0;
      const contend = async (engine: LockEngine, key: string): Promise<void> => {
        const believers = inside.get(key) ?? new Set();
        while (acquired < ACQUISITIONS || freezing.swaps() < SWAPS) {
          const lock = await engine.acquire(key);
          acquired++;
          const { fencingToken = -1n } = lock;
          const last = tokens.get(key) ?? -1n;
          if (lock.held && [...believers].some(({ held }) => held)) wrong.push(`two in ${key}`);
          if (lock.held && fencing && fencingToken <= last) wrong.push(`${key}: token ${fencingToken} after ${last}`);
          if (fencingToken > last) tokens.set(key, fencingToken);
          believers.add(lock);
          await turn();
          believers.delete(lock);
          // Confirmed or not: what a frozen server has not heard is repeated.
          await lock.release().catch(() => undefined);
        }
      };
      try {
        await Promise.all(engines.flatMap((engine) => KEYS.map((key) => contend(engine, key))));
      } finally {
        freezing.end();
      }
      expect(wrong).toEqual([]);
      expect(acquired).toBeGreaterThanOrEqual(ACQUISITIONS);
      for (const key of KEYS) {
        await eventually(`nobody has ${key} or waits for it anywhere`, async () => {
          const { nodes = [] } = await engines[0]!.inspect(key);
          return nodes.every((node) => !('error' in node) && node.holders.length === 0 && node.waiting === 0);
        });
      }
      await Promise.all(engines.map((engine) => engine.close(0)));
    },
    withinRounds(60),
  );
});

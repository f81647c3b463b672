import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { consul } from '../../lib/backends/consul/index.js';
import { etcd } from '../../lib/backends/etcd/index.js';
import { memory } from '../../lib/backends/memory/index.js';
import { mysql } from '../../lib/backends/mysql/index.js';
import { postgres } from '../../lib/backends/postgres/index.js';
import { redis } from '../../lib/backends/redis/index.js';
import { quorum } from '../../lib/backends/redlock/index.js';
import { zookeeper } from '../../lib/backends/zookeeper/index.js';
import type { KeyState } from '../../lib/backends/backend.js';
import type { LockBackend } from '../../lib/index.js';
import { rounds } from '../faults/support/rounds.js';
import { startConsul } from '../servers/consul.js';
import { startEtcd } from '../servers/etcd.js';
import { eventually } from '../servers/eventually.js';
import { startMariadb } from '../servers/mariadb.js';
import { startPostgres } from '../servers/postgres.js';
import { startRedis } from '../servers/redis.js';
import { startZooKeeper } from '../servers/zookeeper.js';
import { Dice } from '../simulation/dice.js';
import { Life, type Step } from './differential-life.js';
import { pictureOf, Table } from './differential-table.js';

interface Started {
  stop(): unknown;
  create(): LockBackend;
  /** Whether those behind a release come in a moment later: a majority has to be asked for them first. */
  readonly settles?: true;
}

const SERVERS: Readonly<Record<string, () => Promise<Started>>> = {
  redis: async () => {
    const server = await startRedis();
    return { stop: () => server.stop(), create: () => redis({ url: server.url }) };
  },
  postgres: async () => {
    const server = await startPostgres();
    return { stop: () => server.stop(), create: () => postgres({ connectionString: server.url }) };
  },
  mysql: async () => {
    const server = await startMariadb();
    return { stop: () => server.stop(), create: () => mysql({ uri: server.uri, connectionLimit: 3 }) };
  },
  etcd: async () => {
    const server = await startEtcd();
    return { stop: () => server.stop(), create: () => etcd({ hosts: server.url }) };
  },
  zookeeper: async () => {
    const server = await startZooKeeper();
    return { stop: () => server.stop(), create: () => zookeeper({ connect: server.host }) };
  },
  redlock: async () => {
    const servers = await Promise.all([1, 2, 3].map(() => startRedis({ own: true })));
    return {
      stop: () => Promise.all(servers.map((server) => server.stop())),
      create: () =>
        quorum(
          servers.map(({ url }) => redis({ url })),
          { nodeTimeout: '5s' },
        ),
      settles: true,
    };
  },
  consul: async () => {
    const server = await startConsul();
    return { stop: () => server.stop(), create: () => consul({ url: server.url }) };
  },
};

const LIVES = 8 * rounds;
const STEPS = 60;

// Each backend says what the one in memory says, question for question. A seed that fails tells what was asked until then.
describe.each(Object.entries(SERVERS))('%s answers as memory does', (_, start) => {
  let server: Started;
  let table: Table;
  beforeAll(async () => {
    server = await start();
    table = await Table.open(() => server.create());
  });
  afterAll(async () => {
    await table?.close();
    await server?.stop();
  });

  it(`in ${LIVES} lives of ${STEPS} questions`, { timeout: 30_000 * rounds }, async () => {
    for (let seed = 1; seed <= LIVES; seed++) {
      const backend = memory();
      const reference = await Table.open(() => backend);
      const dice = new Dice(seed);
      const { modes, semaphores } = table.traits;
      const life = new Life(
        dice,
        `${process.pid}-${seed}`,
        ([mode, limit]) => modes.includes(mode) && (limit === 1 || semaphores),
      );
      const tokens = new Tokens(table.traits.fencing);
      const asked: string[] = [];
      for (let step = 0; step < STEPS; step++) {
        const states = await Promise.all(life.keys.map((key) => reference.inspect(key)));
        const question = life.next(states, table.can);
        if (!question) continue;
        const expected = await answerOf(question, reference);
        asked.push(`${question.text} -> ${expected}`);
        expect(await answerOf(question, table), `seed ${seed}, after\n${asked.join('\n')}`).toBe(expected);
        const there = await pictureAfter(reference, life);
        asked.push(`   ${there}`);
        if (server.settles)
          await eventually(`seed ${seed}: ${there}`, async () => (await pictureAfter(table, life)) === there);
        expect(await pictureAfter(table, life), `seed ${seed}, after\n${asked.join('\n')}`).toBe(there);
        for (const key of life.keys) expect(tokens.wrongAt(key, await table.inspect(key))).toEqual([]);
      }
      for (const { pod, claim } of life.claims) await table.release(pod, claim);
    }
  });
});

const answerOf = (question: Step, table: Table): Promise<string> =>
  question.ask(table).catch((error: Error) => `threw: ${error.message}`);

/** What there is, once everybody who came to hold a key was told of it. */
async function pictureAfter(table: Table, { keys }: Life): Promise<string> {
  const states = await Promise.all(keys.map(async (key) => ({ key, ...(await table.inspect(key)) })));
  for (const state of states) await table.heard(state);
  return states.map(pictureOf).join(' | ');
}

/** The tokens of a life: each new hold has a greater one than all before it, and keeps it. */
class Tokens {
  readonly #held = new Map<string, bigint>();
  readonly #highest = new Map<string, bigint>();

  constructor(private readonly fencing: boolean) {}

  wrongAt(key: string, { holders }: KeyState): readonly string[] {
    if (!this.fencing) return [];
    const there = new Set(holders.map(({ owner }) => `${key} ${owner}`));
    for (const held of this.#held.keys()) if (held.startsWith(`${key} `) && !there.has(held)) this.#held.delete(held);
    const highest = this.#highest.get(key) ?? -1n;
    const wrong: string[] = [];
    for (const { owner, fencingToken = -1n } of holders) {
      const known = this.#held.get(`${key} ${owner}`);
      if (known === undefined && fencingToken <= highest) wrong.push(`${owner} has ${fencingToken} after ${highest}`);
      if (known !== undefined && fencingToken !== known) wrong.push(`${owner} had ${known} and has ${fencingToken}`);
      this.#held.set(`${key} ${owner}`, fencingToken);
      if (fencingToken > (this.#highest.get(key) ?? -1n)) this.#highest.set(key, fencingToken);
    }
    return wrong;
  }
}

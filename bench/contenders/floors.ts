import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type Contender, LEASE_MS, type Locker, TUNED_POLL_MS } from './contender.js';

const DELETE_IF_MINE = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0`;
const SHA = createHash('sha1').update(DELETE_IF_MINE).digest('hex');

/** The least that a lock can be: one command to take it, one to give it back. */
const raw: Contender = {
  name: 'raw',
  about: `ioredis: SET NX PX, compare-and-delete by EVALSHA; asks every ${TUNED_POLL_MS} ms while busy`,
  kind: 'floor',
  waits: 'polls',
  sends: { set: 1, evalsha: 1 },
  open: (port) => openRaw(new Redis(port)),
};

/** What the client library's own batching makes of it, to hold ours against. */
const rawAutoPipelined: Contender = {
  ...raw,
  name: 'raw, auto-pipelined',
  about: 'the same with `enableAutoPipelining` of ioredis',
  only: 'uncontended',
  open: (port) => openRaw(new Redis(port, { enableAutoPipelining: true })),
};

async function openRaw(client: Redis): Promise<Locker> {
  await client.script('LOAD', DELETE_IF_MINE);
  let values = 0;
  return {
    async acquire(key) {
      const value = `${process.pid}-${++values}`;
      while ((await client.set(key, value, 'PX', LEASE_MS, 'NX')) !== 'OK') await sleep(TUNED_POLL_MS);
      return () => client.evalsha(SHA, 1, key, value);
    },
    async close() {
      client.disconnect();
    },
  };
}

const rawOnNodeRedis: Contender = {
  name: 'raw on node-redis',
  about: `@redis/client: the same`,
  kind: 'floor',
  waits: 'polls',
  sends: { set: 1, evalsha: 1 },
  async open(port) {
    const { createClient } = await import('@redis/client');
    const client = await createClient({ socket: { port } }).connect();
    await client.scriptLoad(DELETE_IF_MINE);
    let values = 0;
    return {
      async acquire(key) {
        const value = `${process.pid}-${++values}`;
        const options = { condition: 'NX', expiration: { type: 'PX', value: LEASE_MS } } as const;
        while ((await client.set(key, value, options)) !== 'OK') await sleep(TUNED_POLL_MS);
        return () => client.evalSha(SHA, { keys: [key], arguments: [value] });
      },
      async close() {
        client.destroy();
      },
    };
  },
};

/**
 * The least that a fair and pushed hand-over can be: a token in a list, everybody blocked on it. No lock: nobody knows who has the
 * token, and it is lost with its holder. A connection for each waiter.
 */
const blpop: Contender = {
  name: 'BLPOP',
  about: 'ioredis: a token in a list, BLPOP and RPUSH; a connection for each waiter. Not usable as a lock',
  kind: 'floor',
  waits: 'handed',
  sends: { blpop: 1, rpush: 1 },
  async open(port) {
    const client = new Redis(port);
    await client.ping();
    const idle: Redis[] = [];
    return {
      async prepare(keys, waiters, first) {
        for (let i = 0; i < waiters; i++) idle.push(new Redis(port));
        await Promise.all(idle.map((connection) => connection.ping()));
        if (first) await Promise.all(keys.map((key) => client.rpush(key, 'token')));
      },
      async acquire(key) {
        const connection = idle.pop() ?? new Redis(port);
        await connection.blpop(key, 0);
        idle.push(connection);
        return () => client.rpush(key, 'token');
      },
      async close() {
        client.disconnect();
        for (const connection of idle) connection.disconnect();
      },
    };
  },
};

export const floors: readonly Contender[] = [raw, rawAutoPipelined, rawOnNodeRedis, blpop];

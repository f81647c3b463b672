import { Redis } from 'ioredis';
import { lua, type Script, script } from '../../lib/backends/redis/protocol/script.js';
import { type RedisServer, startRedis } from '../servers/redis.js';

/** Far from now: no key of a test ends by itself, whatever the server's own clock says. */
const BEGINNING_US = Date.UTC(2200, 0) * 1_000;

/**
 * Stands before a script: time is what the key `clock` says, also for the ends of keys, and what is pushed to an inbox of `reachable`
 * is written down in `said`. So two scripts can be asked at the same moment, and differ in nothing but themselves.
 */
const PINNED = lua`
local server = redis
local pinned = server.call('HMGET', 'clock', 's', 'us')
local pinned_ms = pinned[1] * 1000 + math.floor(pinned[2] / 1000)
local redis = { error_reply = server.error_reply }
function redis.call(name, key, ...)
  if name == 'TIME' then return pinned end
  if name == 'PTTL' then
    local ends = server.call('PEXPIRETIME', key)
    return ends < 0 and ends or ends - pinned_ms
  end
  if name == 'PEXPIRE' then return server.call('PEXPIREAT', key, string.format('%d', pinned_ms + (...))) end
  return server.call(name, key, ...)
end
function redis.pcall(name, key, ...)
  if name == 'PUBSUB' then return { ..., server.call('SISMEMBER', 'reachable', ...) } end
  if name ~= 'PUBLISH' then return server.pcall(name, key, ...) end
  if server.call('SISMEMBER', 'reachable', key) == 0 then return 0 end
  server.call('RPUSH', 'said', key .. ' ' .. (...))
  return 1
end
`;

export const pinned = ({ text }: Script): Script => script(PINNED, text);

/** What has ended is gone. Answer: all that is stored of a lock, and when its keys end */
const look = pinned(
  script(lua`
for _, key in ipairs(KEYS) do
  local ends = server.call('PEXPIRETIME', key)
  if ends >= 0 and ends <= pinned_ms then server.call('DEL', key) end
end
local out = {
  server.call('HGETALL', KEYS[1]),
  server.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES'),
  server.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES'),
}
for _, key in ipairs(KEYS) do out[#out + 1] = server.call('PEXPIRETIME', key) end
return out
`),
);

/** KEYS: three of one lock, three of another. The second becomes what the first is. */
const copy = script(lua`
for i = 1, 3 do
  redis.call('DEL', KEYS[i + 3])
  redis.call('COPY', KEYS[i], KEYS[i + 3])
end
`);

/** A lock as it is stored. */
export interface Stored {
  readonly fields: Readonly<Record<string, string>>;
  readonly line: readonly string[];
  readonly shared: readonly string[];
  /** When each of its keys ends, in milliseconds; -1: never, -2: there is none. */
  readonly ends: { readonly lock: number; readonly line: number; readonly shared: number };
}

export interface Question {
  readonly script: Script;
  /** The name of the lock, or names of several. */
  readonly of: string | readonly string[];
  readonly args: readonly string[];
  /** Which of the lock's keys it names. @default all */
  readonly keys?: readonly number[];
  /** How many microseconds after now. */
  readonly later?: number;
}

export interface Result {
  readonly answer: unknown;
  /** The lock after that, or the first of several. */
  readonly stored: Stored;
  /** What was pushed, and whom to. */
  readonly said: readonly string[];
}

/** A Redis server where time stands still, and processes are in reach, as a test says. */
export class PinnedRedis {
  us = BEGINNING_US;
  readonly #known = new Set<string>();

  private constructor(
    private readonly server: RedisServer,
    readonly client: Redis,
  ) {}

  static async start(): Promise<PinnedRedis> {
    const server = await startRedis({ own: true, args: ['--appendonly', 'no'] });
    return new PinnedRedis(server, new Redis(server.url));
  }

  async stop(): Promise<void> {
    this.client.disconnect();
    await this.server.stop();
  }

  get now(): number {
    return Math.floor(this.us / 1_000);
  }

  async clear(): Promise<void> {
    await this.client.flushall();
    this.us = BEGINNING_US;
  }

  /** A process connects, or is out of reach from now on. */
  async comeOrGo(instance: string): Promise<void> {
    const channel = `lock-inbox:${instance}`;
    if ((await this.client.srem('reachable', channel)) === 0) await this.client.sadd('reachable', channel);
  }

  async stored(names: readonly string[]): Promise<Stored[]> {
    const looks = await this.#run(names.map((of) => ({ script: look, of, args: [] })));
    return looks.map(({ answer }) => storedOf(answer));
  }

  /** Makes these locks what those are, and asks one after another, in one round trip. */
  async ask(
    questions: readonly Question[],
    copies: readonly (readonly [from: string, to: string])[] = [],
  ): Promise<Result[]> {
    const ran = await this.#run([
      ...copies.map((of) => ({ script: copy, of, args: [] })),
      ...questions.flatMap((question) => {
        const { of, later = 0 } = question;
        return [question, { script: look, of: typeof of === 'string' ? of : of.slice(0, 1), args: [], later }];
      }),
    ]);
    return questions.map((_, index) => {
      const at = copies.length + index * 2;
      return {
        answer: ran[at]?.answer,
        said: ran[at]?.said ?? [],
        // Of a key that is no lock nothing can be seen.
        get stored() {
          return storedOf(ran[at + 1]?.answer);
        },
      };
    });
  }

  async #run(questions: readonly Question[]): Promise<{ readonly answer: unknown; readonly said: string[] }[]> {
    const pipeline = this.client.pipeline();
    for (const { script, of, args, keys = [0, 1, 2], later = 0 } of questions) {
      const us = this.us + later;
      pipeline.hset('clock', { s: Math.floor(us / 1e6), us: us % 1e6 });
      const names = [of].flat().flatMap((name) => keys.map((key) => keysOf(name)[key] ?? ''));
      if (this.#known.has(script.sha)) pipeline.evalsha(script.sha, names.length, ...names, ...args);
      else pipeline.eval(script.text, names.length, ...names, ...args);
      this.#known.add(script.sha);
      pipeline.lrange('said', 0, -1).del('said');
    }
    const answers = (await pipeline.exec()) ?? [];
    return questions.map((_, index) => {
      const [error, answer] = answers[index * 4 + 1] ?? [];
      return { answer: error ?? answer, said: (answers[index * 4 + 2]?.[1] ?? []) as string[] };
    });
  }
}

const keysOf = (name: string): string[] => [name, `${name}:line`, `${name}:shared`];

function storedOf(seen: unknown): Stored {
  if (!Array.isArray(seen)) throw seen;
  const [hash, line, shared, ...ends] = seen as [string[], string[], string[], number, number, number];
  const fields: Record<string, string> = {};
  for (let i = 0; i < hash.length; i += 2) fields[hash[i] ?? ''] = hash[i + 1] ?? '';
  return { fields, line, shared, ends: { lock: ends[0], line: ends[1], shared: ends[2] } };
}

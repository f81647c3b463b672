import { inspect } from 'node:util';
import type { LockBackend } from 'nestjs-distributed-lock';
import { consul } from 'nestjs-distributed-lock/consul';
import { etcd } from 'nestjs-distributed-lock/etcd';
import { mysql } from 'nestjs-distributed-lock/mysql';
import { postgres } from 'nestjs-distributed-lock/postgres';
import { redis } from 'nestjs-distributed-lock/redis';
import { zookeeper } from 'nestjs-distributed-lock/zookeeper';
import { describe, expect, it } from 'vitest';
import { LockEngine } from '../../lib/engine/engine.js';
import { clientPackage } from '../../lib/lock/client-package.js';
import { LockConfigurationError } from '../../lib/lock/errors.js';

const SECRET = 'sEcrEt';

const makers: Readonly<Record<string, (address: string) => LockBackend>> = {
  redis: (url) => redis({ url }),
  etcd: (hosts) => etcd({ hosts }),
  consul: (url) => consul({ url }),
  postgres: (connectionString) => postgres({ connectionString }),
  mysql: (uri) => mysql({ uri }),
  zookeeper: (connect) => zookeeper({ connect }),
};

/** As people mistype them: a port that is none, one slash too few, blanks, a password that is not encoded. */
const addresses = [
  `redis://u:${SECRET}@host:notaport`,
  `redis//u:${SECRET}@host`,
  `http://u:${SECRET}@ho st:1`,
  `u:${SECRET}@127.0.0.1:1`,
  `postgres://u:${SECRET}@127.0.0.1:99999/x`,
  `postgres://u:${SECRET}%zz@127.0.0.1:1/x`,
  `postgres://u:${SECRET}/y@127.0.0.1:1/x`,
  `mysql://u:${SECRET}@127.0.0.1:bad/x`,
  `mysql://u:${SECRET}/y@127.0.0.1:1/x`,
  `redis://u:${SECRET}%zz@127.0.0.1:1`,
  `redis://u:${SECRET}/y@127.0.0.1:1/0`,
  `http://127.0.0.1:1/x y?token=${SECRET}`,
];

/** All that a logger may print of an error. */
function printed(error: unknown): string {
  if (!(error instanceof Error)) return inspect(error);
  return [error.message, error.stack, JSON.stringify(error), inspect(error), printed(error.cause)].join('\n');
}

async function failureOf(make: () => LockBackend): Promise<unknown> {
  let engine: LockEngine | undefined;
  try {
    engine = new LockEngine(make(), { callTimeout: 300 });
    await engine.ping();
  } catch (error) {
    return error;
  } finally {
    await engine?.close(0).catch(() => undefined);
  }
  return undefined;
}

describe.each(Object.entries(makers))('what %s() says of a wrong address', (_name, make) => {
  it.each(addresses)('has no password in it: %s', async (address) => {
    const error = await failureOf(() => make(address));
    expect(error).toBeInstanceOf(Error);
    expect(printed(error)).not.toContain(SECRET);
  });
});

describe('a client library that is not installed', () => {
  const missing = Object.assign(new Error("Cannot find package 'ioredis' imported from /app"), {
    code: 'ERR_MODULE_NOT_FOUND',
  });

  it('is named, with the command that installs it', async () => {
    const load = clientPackage('ioredis', 'redis({ url })', () => Promise.reject(missing));
    await expect(load).rejects.toThrow(LockConfigurationError);
    await expect(load).rejects.toThrow(
      '`redis({ url })` needs the package `ioredis`, which is not installed. Run `npm install ioredis`',
    );
  });

  it('and another one that it misses itself is not taken for it', async () => {
    const other = Object.assign(new Error("Cannot find package 'debug' imported from /app"), { code: missing.code });
    await expect(clientPackage('ioredis', 'redis()', () => Promise.reject(other))).rejects.toBe(other);
  });
});

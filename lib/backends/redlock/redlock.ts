import { type Duration, toMilliseconds } from '../../lock/duration.js';
import { LockConfigurationError } from '../../lock/errors.js';
import { checkOptionNames } from '../../lock/option-names.js';
import type { LockBackend } from '../backend.js';
import type { IoredisClient } from '../redis/ioredis.js';
import type { NodeRedisClient } from '../redis/node-redis.js';
import { redisServer } from '../redis/options.js';
import { InstanceBackend, type RedlockInstance } from './instance.js';
import { type QuorumOptions, quorumOf } from './quorum.js';

/** How Redis servers are one of several. */
export interface RedlockBehaviour extends QuorumOptions {
  /**
   * How long a server that was restarted without its data takes no part, which is the longest lease that may be asked for: until then somebody
   * may believe in a vote that it has forgotten. A server with `appendonly yes` keeps its data and takes part at once. `false` for
   * servers that never come back empty, and for tests.
   * @default '30s'
   */
  readonly restartGuard?: Duration | false;
}

/** Options of `redlock()`: `clients`, `urls`, or an instance of the npm package. */
export type RedlockOptions =
  | {
      /** An instance of the npm package `redlock` (4.2, 5.0.0-beta) that is configured already. Its algorithm stays as it is. */
      readonly redlock: RedlockInstance;
    }
  | (RedlockBehaviour & Servers);

type Servers =
  | {
      /** One client for each server, of ioredis or node-redis, in the same order everywhere. They are used and never closed. */
      readonly clients: readonly (IoredisClient | NodeRedisClient)[];
      readonly urls?: never;
    }
  | {
      /** Where the servers are, in the same order everywhere. The connections are made, and closed, here. Needs `ioredis`. */
      readonly urls: readonly string[];
      readonly clients?: never;
    };

const NAMES: ReadonlySet<string> = new Set(['clients', 'urls', 'nodeTimeout', 'drift', 'fencing', 'restartGuard']);

/** What the clocks of servers may run apart in that time, and the second to which a server knows how long it has been up. */
const guardOf = (longestMs: number): number => Math.ceil(longestMs * 1.02) + 1_000;

/**
 * Locks that a majority of independent Redis servers grants, after the Redlock algorithm: with five of them any two may fail.
 *
 * ```ts
 * DistributedLockModule.forRoot({ backend: redlock({ urls: ['redis://a', 'redis://b', 'redis://c'] }) })
 * ```
 *
 * @throws LockConfigurationError when the options make no sense
 */
export function redlock(options: RedlockOptions): LockBackend {
  if ('redlock' in options) {
    checkOptionNames('redlock({ redlock })', options, new Set(['redlock']));
    return new InstanceBackend(Object(options.redlock) as RedlockInstance);
  }
  checkOptionNames('redlock()', options, NAMES);
  const { clients, urls, restartGuard = '30s', ...behaviour } = options;
  if (!Array.isArray(clients ?? urls)) {
    throw new LockConfigurationError(
      'redlock() needs `clients`, one for each server, or `urls`. Give three or five servers that know nothing of each other.',
    );
  }
  const maxTtl = restartGuard === false ? undefined : toMilliseconds('restartGuard', restartGuard);
  const guardMs = maxTtl === undefined ? undefined : guardOf(maxTtl);
  const servers = clients?.map((client) => ({ client })) ?? urls?.map((url) => ({ url })) ?? [];
  checkDifferent(clients ?? urls ?? []);
  return quorumOf(
    servers.map((server) => singleServer(redisServer(server, guardMs))),
    behaviour,
    { kind: 'redlock', ...(maxTtl !== undefined && { maxTtl }) },
  );
}

function checkDifferent(servers: readonly unknown[]): void {
  if (new Set(servers).size === servers.length) return;
  throw new LockConfigurationError(
    'redlock() was given a server twice, and its vote would count twice. Name each server once.',
  );
}

/** A cluster is one system, whose nodes do not vote. */
function singleServer<B extends { readonly nodeOf?: unknown }>(server: B): B {
  if (server.nodeOf === undefined) return server;
  throw new LockConfigurationError(
    'redlock() takes single servers, and one of its clients is that of a cluster. Take `redis({ client })` for a cluster.',
  );
}

import { type Duration, toMilliseconds } from '../../lock/duration.js';
import { LockConfigurationError } from '../../lock/errors.js';
import { shownAddress } from '../../lock/shown-address.js';
import { checkOptionNames } from '../../lock/option-names.js';
import type { ListQuery, LockBackend, Traits } from '../backend.js';
import { LineBackend } from '../line/line-backend.js';
import { ConsulClient, type ConsulToken } from './client.js';
import { ConsulDriver } from './driver.js';
import type { ConsulTls } from './http.js';
import { list } from './list.js';

/** Options of `consul()`. Durations are milliseconds or strings such as `'10s'`. */
export interface ConsulOptions {
  /**
   * The agent, such as `http://127.0.0.1:8500`, or several that stand for each other. `https://` for TLS. A path is kept, for an API
   * behind a proxy.
   */
  readonly url: string | readonly string[];
  /** The ACL token, or a function that gives the present one: it is called for each request. */
  readonly token?: ConsulToken;
  /** The datacenter that has the locks. @default that of the agent */
  readonly datacenter?: string;
  /** Certificates for `https://`, in PEM. Without them those that this machine trusts. */
  readonly tls?: ConsulTls;
  /** The folder of all locks in the key-value store. Locks exclude each other only in the same folder. @default 'nestjs-distributed-lock' */
  readonly root?: string;
  /**
   * Whose clients exclude these locks and are excluded by them: `'consul-lock'` for `consul lock`, on the name `<root>/<prefix><key>`, and Go's
   * `api.Lock`. Such locks are exclusive: no shared ones and no semaphores. Without it a lock excludes only those of this package.
   * @default 'own'
   */
  readonly layout?: 'own' | 'consul-lock';
  /** What `session_ttl_min` says in the configuration of your servers. It is the shortest `ttl` of a lock. @default '10s' */
  readonly sessionTtlMin?: Duration;
  /** How long one agent may be silent before the next is asked. @default '700ms', or '2s' where there is only one */
  readonly agentTimeout?: Duration;
  /**
   * How many blocking queries this process has open at most, one for each key that it waits for. Keys above it share one query, and
   * hear of a release some 50 ms later. With the 16 connections for other requests, it has to stay below the agent's
   * `http_max_conns_per_client` (200). @default 96
   */
  readonly maxWatches?: number;
}

const NAMES: ReadonlySet<string> = new Set<keyof ConsulOptions>([
  'url',
  'token',
  'datacenter',
  'tls',
  'root',
  'layout',
  'sessionTtlMin',
  'agentTimeout',
  'maxWatches',
]);

/** Enough to keep an agent busy. */
const CONNECTIONS = 16;

export const consulTraits = {
  fencing: true,
  fifo: true,
  modes: ['exclusive', 'shared'],
  semaphores: true,
  minTtl: 10_000,
  // The end of a session is too rough for it: at least 10 s, and up to twice its time.
  minHold: false,
  survivesFailover: true,
} as const satisfies Traits;

/**
 * Locks in Consul (1.8 or later), through its HTTP API and without a client library.
 *
 * @throws LockConfigurationError when the options make no sense
 */
export function consul(options: ConsulOptions): LockBackend {
  checkOptionNames('consul()', options, NAMES);
  const { token, datacenter, tls, root = 'nestjs-distributed-lock', layout = 'own', maxWatches = 96 } = options;
  const urls = urlsOf(options.url);
  const minTtl = toMilliseconds('sessionTtlMin', options.sessionTtlMin ?? '10s');
  const patience = toMilliseconds('agentTimeout', options.agentTimeout ?? (urls.length > 1 ? '700ms' : '2s'));
  if (patience < 1) throw new LockConfigurationError('`agentTimeout` must be at least 1 ms.');
  if (minTtl < 1) throw new LockConfigurationError('`sessionTtlMin` must be at least 1 ms.');
  if (!/^[^/].*$/s.test(root) || root.endsWith('/') || root.includes('//')) {
    throw new LockConfigurationError('`consul({ root })` is a folder in the key-value store, such as `my-team/locks`.');
  }
  if (!Number.isSafeInteger(maxWatches) || maxWatches < 1) {
    throw new LockConfigurationError('`consul({ maxWatches })` is a whole number from 1 up.');
  }
  if (layout !== 'own' && layout !== 'consul-lock') {
    throw new LockConfigurationError(
      `\`consul({ layout })\` must be 'own' or 'consul-lock', and is ${JSON.stringify(layout)}.`,
    );
  }
  const beside = layout === 'consul-lock';
  const traits: Traits = {
    ...consulTraits,
    ...(beside && { modes: ['exclusive'] as const, semaphores: false }),
    minTtl,
  };
  const address = urls.map(({ origin }) => origin).join(', ');
  // Connections, sessions and watches are of one application.
  const make = (): LockBackend => {
    const settings = { urls, token, datacenter, tls, patience, connections: CONNECTIONS, watches: maxWatches };
    const driver = new ConsulDriver(new ConsulClient(settings), root, traits, address, beside);
    return Object.assign(new LineBackend(driver), {
      address,
      forApplication: make,
      warnings: async () => warningsOf(minTtl),
      list: (query: ListQuery) => list(driver, query),
    });
  };
  return make();
}

/** What nobody would expect of a `ttl`. */
const warningsOf = (minTtl: number): readonly string[] => [
  'Consul ends the session of a holder that died after up to twice the `ttl` of its locks. Until then nobody else gets them. ' +
    `The shortest \`ttl\` is ${minTtl} ms, which is what \`sessionTtlMin\` says of your servers.`,
];

function urlsOf(url: ConsulOptions['url']): readonly URL[] {
  const needs = '`consul({ url })` needs the address of an agent, such as `http://127.0.0.1:8500`';
  const all = typeof url === 'string' ? [url] : url;
  if (!Array.isArray(all) || all.length === 0) throw new LockConfigurationError(`${needs}.`);
  return all.map((each: unknown) => {
    if (typeof each !== 'string' || !/^https?:\/\//.test(each) || !URL.canParse(each)) {
      throw new LockConfigurationError(`${needs}, and ${shownAddress(each)} is none.`);
    }
    const parsed = new URL(each);
    if (parsed.username || parsed.password || parsed.search || parsed.hash) {
      throw new LockConfigurationError(`${needs}, without a user, a query or a fragment.`);
    }
    return parsed;
  });
}

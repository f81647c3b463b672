import { type Duration, toMilliseconds } from '../../lock/duration.js';
import { clientPackage } from '../../lock/client-package.js';
import { LockConfigurationError } from '../../lock/errors.js';
import { shownAddress } from '../../lock/shown-address.js';
import { checkOptionNames } from '../../lock/option-names.js';
import type { LockBackend } from '../backend.js';
import { LineBackend } from '../line/line-backend.js';
import { EtcdDriver } from './driver.js';
import { type Connect, membersOf } from './members.js';

/** Where the cluster is. Needs `etcd3` to be installed. */
export interface EtcdServers {
  /** All members, such as `['etcd-1:2379', 'etcd-2:2379', 'etcd-3:2379']`; `https://` for TLS. */
  readonly hosts: string | readonly string[];
  /** A user of the cluster, where its authentication is on. */
  readonly auth?: { readonly username: string; readonly password: string };
  /** In PEM. `{}` for TLS with the certificates that this machine trusts. */
  readonly tls?: {
    readonly ca?: string | Uint8Array;
    readonly cert?: string | Uint8Array;
    readonly key?: string | Uint8Array;
  };
}

interface Behaviour {
  /** How long one member is waited for before the next is asked. @default '700ms', or '2s' where there is only one */
  readonly memberTimeout?: Duration;
}

/** An `Etcd3` fits. Its shape stands here, so that these types need no `etcd3`. */
export interface EtcdClient {
  readonly kv: object;
  readonly leaseClient: object;
  readonly watchClient: object;
  close(): void;
}

/** Options of `etcd()`: a `client` of yours, or the addresses of the members. */
export type EtcdOptions = Behaviour &
  (
    | ({
        /** A client of etcd3 (`new Etcd3(…)`). It says where the members are and how to log in, and stays as it is. */
        readonly client: EtcdClient;
      } & { readonly [K in keyof EtcdServers]?: never })
    | (EtcdServers & { readonly client?: never })
  );

/** Options of `new Etcd3(…)`, as far as they are looked at. */
interface Settings {
  readonly hosts: string | readonly string[];
  readonly auth?: object;
  readonly grpcOptions?: Readonly<Record<string, unknown>>;
}

/** As gRPC takes it: one, without blanks, and a URL without a path. What is wrong with others it says only when it cannot connect. */
const ADDRESS = /^(?:https?:\/\/[^\s/,]+|(?!https?:)[^\s,]+|ipv[46]:\S+)$/;

/** etcd answers pings that come sooner than every 5 s by hanging up. */
const SHORTEST_KEEPALIVE_MS = 6_000;

const NAMES: ReadonlySet<string> = new Set(['hosts', 'auth', 'tls', 'client', 'memberTimeout']);

/**
 * Locks in an etcd cluster (3.4 or later), in one line with `etcdctl lock` and Go's `concurrency.Mutex`.
 *
 * A client that is handed in says where the cluster is and how to log in, and stays as it is: its circuit breaker and its retries
 * would cost leases, so the connections that are used, and closed, here are our own.
 *
 * @throws LockConfigurationError when the options make no sense
 */
export function etcd(options: EtcdOptions): LockBackend {
  checkOptionNames('etcd()', options, NAMES);
  const settings = options.client === undefined ? settingsFor(options) : settingsOf(options.client);
  const hosts = typeof settings.hosts === 'string' ? [settings.hosts] : settings.hosts;
  const needs = "`etcd({ hosts })` needs the addresses of the members, such as `['etcd-1:2379', 'etcd-2:2379']`";
  if (!Array.isArray(hosts) || hosts.length === 0) throw new LockConfigurationError(`${needs}.`);
  for (const host of hosts) {
    if (typeof host !== 'string' || !ADDRESS.test(host) || host.includes('@')) {
      throw new LockConfigurationError(`${needs}, and ${shownAddress(host)} is none.`);
    }
  }
  const patience = toMilliseconds('memberTimeout', options.memberTimeout ?? (hosts.length > 1 ? '700ms' : '2s'));
  if (patience < 1) throw new LockConfigurationError('`memberTimeout` must be at least 1 ms.');
  const driver = (): EtcdDriver => new EtcdDriver(membersOf(hosts, connection(settings, patience), patience));
  // Nothing is opened before it is used, and each application uses a driver of its own.
  return new LineBackend(driver(), driver);
}

function settingsFor({ hosts, auth, tls }: EtcdServers): Settings {
  return {
    hosts,
    ...(auth && { auth }),
    ...(tls && { credentials: { rootCertificate: pem(tls.ca), certChain: pem(tls.cert), privateKey: pem(tls.key) } }),
  };
}

function settingsOf(client: EtcdClient): Settings {
  // `options` and `prefix` are there, but `protected` in the types of etcd3.
  const { options, prefix } = Object(client) as EtcdClient & {
    readonly options?: Partial<Settings>;
    readonly prefix?: Buffer;
  };
  const { hosts } = options ?? {};
  if (hosts === undefined) {
    throw new LockConfigurationError(
      '`etcd({ client })` needs an etcd3 client (`new Etcd3(…)`), and this is something else.',
    );
  }
  if (prefix !== undefined && prefix.length > 0) {
    throw new LockConfigurationError(
      '`etcd({ client })` was given a namespace of a client. Hand in the client itself, and name the `prefix` in the options of the module.',
    );
  }
  return { ...options, hosts };
}

/** How a connection of ours behaves: each call is sent once, to one member, within a deadline. What follows from a failure is for `Cluster`. */
function connection(settings: Settings, patience: number): Connect {
  const deadline = (): { deadline: number } => ({ deadline: Date.now() + patience });
  const { auth, grpcOptions = {} } = settings;
  const keepalive = Math.max(SHORTEST_KEEPALIVE_MS, Number(grpcOptions['grpc.keepalive_time_ms'] ?? 0));
  return async (host) => {
    const { Etcd3 } = await clientPackage('etcd3', 'etcd({ hosts })', () => import('etcd3'));
    const options = {
      ...settings,
      hosts: host,
      ...(auth && { auth: { ...auth, callOptions: deadline } }),
      faultHandling: { host: () => onceOnly, global: onceOnly, watchBackoff: { duration: 100, next: () => undefined } },
      grpcOptions: {
        // Long lines, and the keys of a lease with very many locks.
        'grpc.max_receive_message_length': 1024 * 1024 * 1024,
        'grpc.keepalive_timeout_ms': 2_000,
        'grpc.initial_reconnect_backoff_ms': 100,
        'grpc.max_reconnect_backoff_ms': 500,
        ...grpcOptions,
        'grpc.keepalive_time_ms': keepalive,
      },
    };
    // Of a policy etcd3 only ever calls `execute`.
    return new Etcd3(options as unknown as ConstructorParameters<typeof Etcd3>[0]);
  };
}

/**
 * In place of etcd3's retries and circuit breaker. It hides what sort of error it was, because etcd3 answers one slow call by hanging
 * up on all others; gRPC finds out by itself when a connection is broken.
 */
const onceOnly = {
  async execute<T>(call: (context: object) => Promise<T>): Promise<T> {
    try {
      return await call({});
    } catch (error) {
      throw error instanceof Error ? new EtcdCallError(error) : error;
    }
  },
};

class EtcdCallError extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
    this.name = cause.name === 'Error' ? cause.constructor.name : cause.name;
  }
}

const pem = (text: string | Uint8Array | undefined): Buffer | undefined =>
  text === undefined ? undefined : Buffer.from(text);

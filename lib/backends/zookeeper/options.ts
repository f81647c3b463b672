import { LockConfigurationError } from '../../lock/errors.js';
import { checkOptionNames } from '../../lock/option-names.js';
import type { LockBackend } from '../backend.js';
import { LineBackend } from '../line/line-backend.js';
import { type Address, parseChroot, parseConnect, type TlsOptions } from './client/index.js';
import type * as requests from './client/requests.js';
import { ZooKeeperDriver } from './driver.js';
import { type LayoutName, layouts } from './layout.js';
import type { ZooKeeperSettings } from './settings.js';

/** Where the ensemble is. */
export interface ZooKeeperServers {
  /** All servers, such as `'zk-1:2181,zk-2:2181,zk-3:2181'`, and the node that all locks are below, such as `'…/my-app'`. */
  readonly connect: string;
  /** A login of ZooKeeper's scheme `digest`. Nodes then belong to it alone. */
  readonly auth?: { readonly username: string; readonly password: string };
  /** For the secure port of the servers; in PEM. `{}` for TLS with the certificates that this machine trusts. */
  readonly tls?: TlsOptions;
}

interface Behaviour {
  /** The node that all locks are below. It may stand in `connect` as well. @default '/' */
  readonly chroot?: string;
  /**
   * Whose clients stand in line with you: `'kazoo'`, `'curator'` or `'curator-rw'`. Without it a lock excludes only those of this
   * package, and has semaphores and `minHold`. @default 'own'
   */
  readonly layout?: LayoutName;
}

/** The parts of a `node-zookeeper-client` that are looked at. */
export interface ZooKeeperClientLike {
  getSessionId(): Uint8Array;
  addAuthInfo(scheme: string, auth: Buffer): void;
}

/** Options of `zookeeper()`: where the ensemble is, or a client of yours that knows it. */
export type ZooKeeperOptions = Behaviour &
  (
    | ({
        /** A client of node-zookeeper-client. It says where the servers are and how to log in, and is not used itself. */
        readonly client: ZooKeeperClientLike;
      } & { readonly [K in keyof ZooKeeperServers]?: never })
    | (ZooKeeperServers & { readonly client?: never })
  );

const NAMES: ReadonlySet<string> = new Set(['connect', 'auth', 'tls', 'chroot', 'layout', 'client']);

const NEEDS = "`zookeeper({ connect })` needs the addresses of the servers, such as `'zk-1:2181,zk-2:2181,zk-3:2181'`";

/**
 * Locks in a ZooKeeper ensemble (3.6 or later). The connections are always our own, one for each length of lease in use, and closed
 * with the application. A client that is handed in (`node-zookeeper-client`) says where the servers are and how to log in.
 *
 * @throws LockConfigurationError when the options make no sense
 */
export function zookeeper(options: ZooKeeperOptions): LockBackend {
  checkOptionNames('zookeeper()', options, NAMES);
  const { layout = 'own', chroot } = options;
  if (!Object.hasOwn(layouts, layout)) {
    const known = Object.keys(layouts).join("', '");
    throw new LockConfigurationError(`\`layout\` must be one of '${known}', and is ${JSON.stringify(layout)}.`);
  }
  const { connect, logins } = options.client === undefined ? serversOf(options) : serversOfClient(options.client);
  const address = addressOf(connect, chroot);
  const settings: ZooKeeperSettings = {
    ...address,
    logins,
    tls: options.client === undefined ? options.tls : undefined,
    layout: layouts[layout],
    address: `${address.hosts.map(({ host, port }) => `${host}:${port}`).join(',')}${address.chroot}`,
  };
  const backend = (): LockBackend => new LineBackend(new ZooKeeperDriver(settings));
  // A description: each application has connections of its own.
  return Object.assign(backend(), { forApplication: backend });
}

interface Servers {
  readonly connect: string;
  readonly logins: readonly requests.Login[];
}

function serversOf({ connect, auth }: ZooKeeperServers): Servers {
  if (typeof connect !== 'string' || connect.trim() === '') throw new LockConfigurationError(`${NEEDS}.`);
  if (!auth) return { connect, logins: [] };
  const { username, password } = auth;
  if (typeof username !== 'string' || username === '' || username.includes(':') || typeof password !== 'string') {
    throw new LockConfigurationError('`auth` needs a `username` without a colon and a `password`.');
  }
  return { connect, logins: [{ scheme: 'digest', auth: `${username}:${password}` }] };
}

function serversOfClient(client: ZooKeeperClientLike): Servers {
  // They are there, but no part of its types.
  const { connectionManager } = Object(client) as {
    readonly connectionManager?: {
      readonly connectionStringParser?: { getConnectionString?(): string };
      readonly credentials?: readonly { readonly scheme: string; readonly auth: Uint8Array }[];
    };
  };
  const connect = connectionManager?.connectionStringParser?.getConnectionString?.();
  if (typeof connect !== 'string') {
    throw new LockConfigurationError(
      '`zookeeper({ client })` needs a client of node-zookeeper-client (`createClient(…)`), and this is something else.',
    );
  }
  return { connect, logins: connectionManager?.credentials ?? [] };
}

function addressOf(connect: string, chroot: string | undefined): Address {
  try {
    const address = parseConnect(connect);
    return chroot === undefined ? address : { ...address, chroot: address.chroot + parseChroot(chroot) };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new LockConfigurationError(`${NEEDS} and a path behind them at most: ${error.message}.`);
  }
}

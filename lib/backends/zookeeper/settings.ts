import type { Traits } from '../backend.js';
import type { Host, TlsOptions } from './client/index.js';
import type * as requests from './client/requests.js';
import type { Layout } from './layout.js';

/** Where an ensemble is and how its locks look, checked. */
export interface ZooKeeperSettings {
  readonly hosts: readonly Host[];
  readonly chroot: string;
  readonly logins: readonly requests.Login[];
  readonly tls: TlsOptions | undefined;
  readonly layout: Layout;
  /** For messages: without a login. */
  readonly address: string;
}

/** Nodes belong to the login of whoever makes them, and to everybody where there is none. */
export const accessOf = ({ logins }: ZooKeeperSettings): requests.Access =>
  logins.length > 0 ? 'creator' : 'everybody';

export const zooKeeperTraits = {
  fencing: true,
  fifo: true,
  // Two ticks of the server; with its default of two seconds it grants no less than four.
  minTtl: 1_000,
  survivesFailover: true,
} as const satisfies Partial<Traits>;

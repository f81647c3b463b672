import { shownAddress } from '../../../lock/shown-address.js';
import type { Host } from './connection.js';

const PORT = 2181;

/** Where an ensemble is: its servers, and the node that everything is below. */
export interface Address {
  readonly hosts: readonly Host[];
  /** Without a slash at its end; empty for the root. */
  readonly chroot: string;
}

/**
 * Reads a connect string such as `zk-1:2181,zk-2:2181/app`.
 *
 * @throws SyntaxError when it is none
 */
export function parseConnect(connect: string): Address {
  const slash = connect.indexOf('/');
  const servers = slash < 0 ? connect : connect.slice(0, slash);
  const hosts = servers.split(',').map((server): Host => {
    const [, bracketed, plain, port] = /^(?:\[([\da-f:]+)\]|([^\s:[\]/@]+))(?::(\d{1,5}))?$/i.exec(server.trim()) ?? [];
    const host = bracketed ?? plain;
    if (host === undefined || Number(port ?? PORT) > 65_535 || Number(port ?? PORT) < 1) {
      throw new SyntaxError(`${shownAddress(server)} is no server`);
    }
    return { host, port: Number(port ?? PORT) };
  });
  return { hosts, chroot: slash < 0 ? '' : parseChroot(connect.slice(slash)) };
}

/** @throws SyntaxError when it is no path */
export function parseChroot(path: string): string {
  const chroot = path.replace(/\/$/, '');
  if (chroot !== '' && !/^(?:\/(?!\.{1,2}(?:\/|$))[^/\p{Cc}\p{Cs}\p{Co}\ufff0-\uffff]+)+$/u.test(chroot)) {
    throw new SyntaxError(`${shownAddress(path)} is no path`);
  }
  return chroot;
}

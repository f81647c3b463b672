import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

const taken = new Set<number>();

/**
 * A free port of the loopback address, below those that the kernel gives to outgoing connections: a client that keeps
 * reconnecting to a killed server's port in that range may otherwise connect to itself, and the server cannot come back.
 */
export async function freePort(): Promise<number> {
  const from = 10_240;
  const to = firstOutgoingPort();
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = from + Math.floor(Math.random() * (to - from));
    if (!taken.has(port) && (await isFree(port))) {
      taken.add(port);
      return port;
    }
  }
  throw new Error(`No free port found between ${from} and ${to} in 100 attempts.`);
}

function firstOutgoingPort(): number {
  try {
    const first = Number.parseInt(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'), 10);
    return first > 12_000 ? first : 32_768;
  } catch {
    return 32_768;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

import { connect, createServer, type Socket } from 'node:net';

/** A door in front of servers in which connections go silent: no byte passes any more, and nobody is told. New connections pass. */
export interface SilentProxy {
  readonly port: number;
  /** Silences those that stand now: all, those that wait for news, or the others. With `noticed` the server sees them end. */
  silence(which: 'all' | 'subscribers' | 'others', noticed?: boolean): number;
  /** From now on each that subscribes is silenced, as long as the proxy lives. */
  silenceSubscribers(): void;
  /** New connections lead there; those that stand stay where they are. */
  moveTo(port: number): void;
  stop(): Promise<void>;
}

interface Pair {
  readonly inside: Socket;
  readonly outside: Socket;
  subscribes: boolean;
  silent: boolean;
}

/** @param subscribing what a client sends on a connection on which it waits for news */
export async function startSilentProxy(target: number, subscribing = /subscribe/i): Promise<SilentProxy> {
  const pairs = new Set<Pair>();
  let to = target;
  let letsSubscribe = true;
  const server = createServer((inside) => {
    const outside = connect(to, '127.0.0.1');
    const pair: Pair = { inside, outside, subscribes: false, silent: false };
    pairs.add(pair);
    inside.on('data', (bytes) => {
      if (subscribing.test(bytes.toString('latin1'))) pair.subscribes = true;
      if (pair.subscribes && !letsSubscribe) pair.silent = true;
      if (!pair.silent) outside.write(bytes);
    });
    outside.on('data', (bytes) => {
      if (!pair.silent) inside.write(bytes);
    });
    for (const socket of [inside, outside]) {
      socket.on('error', () => undefined);
      socket.on('close', () => {
        if (pair.silent) return;
        inside.destroy();
        outside.destroy();
        pairs.delete(pair);
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    silence(which, noticed = false) {
      const chosen = [...pairs].filter(
        ({ silent, subscribes }) => !silent && (which === 'all' || subscribes === (which === 'subscribers')),
      );
      for (const pair of chosen) {
        pair.silent = true;
        if (noticed) pair.outside.destroy();
      }
      return chosen.length;
    },
    silenceSubscribers() {
      letsSubscribe = false;
      for (const pair of pairs) if (pair.subscribes) pair.silent = true;
    },
    moveTo(port) {
      to = port;
    },
    async stop() {
      for (const { inside, outside } of pairs) {
        inside.destroy();
        outside.destroy();
      }
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

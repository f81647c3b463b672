import { connect, createServer, type Socket } from 'node:net';

/** A door in front of a server that can be shut on everybody. */
export interface CuttableProxy {
  /** `host:port`. */
  readonly host: string;
  /** Cuts every connection; new ones are let in. */
  cut(): void;
  /** From now on new connections are taken and lead nowhere, until `letIn`. */
  keepWaiting(): void;
  letIn(): void;
  stop(): Promise<void>;
}

export async function startProxy(url: string): Promise<CuttableProxy> {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    return socket;
  };
  let waiting: (() => void)[] | undefined;
  const server = createServer((inside) => {
    keep(inside);
    if (waiting) waiting.push(() => lead(inside));
    else lead(inside);
  });
  const lead = (inside: Socket): void => {
    const outside = keep(connect(Number(target.port), target.hostname));
    inside.pipe(outside).pipe(inside);
    inside.on('close', () => outside.destroy());
    outside.on('close', () => inside.destroy());
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const cut = (): void => sockets.forEach((socket) => socket.destroy());
  return {
    host: `127.0.0.1:${port}`,
    cut,
    keepWaiting: () => void (waiting ??= []),
    letIn() {
      for (const lead of waiting ?? []) lead();
      waiting = undefined;
    },
    async stop() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

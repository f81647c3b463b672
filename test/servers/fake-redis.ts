import { createServer, type Socket } from 'node:net';

/** What a server says to a command, in the words of its protocol (RESP 2); nothing for a command that it knows nothing of. */
export type Saying = (words: readonly string[], connection: number) => string | undefined;

/** A server that speaks Redis's protocol and says what a test tells it to, as servers do that cannot be had here. */
export interface FakeRedis {
  readonly url: string;
  /** How many connections it has taken. */
  readonly connections: number;
  stop(): Promise<void>;
}

export const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;

export async function startFakeRedis(say: Saying): Promise<FakeRedis> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    const number = ++connections;
    sockets.add(socket);
    let received = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text;
      for (let command = next(received); command; command = next(received)) {
        received = received.slice(command.length);
        const [name = '', ...args] = command.words;
        socket.write(say([name.toUpperCase(), ...args], number) ?? "-ERR unknown command 'it'\r\n");
      }
    });
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    url: `redis://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
    get connections() {
      return connections;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The first command of what was received, if all of it is there. */
function next(received: string): { readonly words: readonly string[]; readonly length: number } | undefined {
  const head = /^\*(\d+)\r\n/.exec(received);
  if (!head) return undefined;
  const words: string[] = [];
  let at = head[0].length;
  for (let i = 0; i < Number(head[1]); i++) {
    const size = /^\$(\d+)\r\n/.exec(received.slice(at));
    if (!size) return undefined;
    const from = at + size[0].length;
    at = from + Number(size[1]) + 2;
    if (received.length < at) return undefined;
    words.push(received.slice(from, at - 2));
  }
  return { words, length: at };
}

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { is, type SessionState, ZooKeeperClient } from '../../lib/backends/zookeeper/client/index.js';
import { Packets, Reader, Writer } from '../../lib/backends/zookeeper/client/jute.js';
import * as requests from '../../lib/backends/zookeeper/client/requests.js';

/** A request as a server reads it: its number, its kind and the rest. */
interface Asked {
  readonly xid: number;
  readonly code: number;
  readonly from: Reader;
}

const PING = 11;
const SYNC = 9;
const CLOSE = -11;

/** A server that a test plays: it lets everybody in, and answers as it is told. */
class Played {
  readonly connections: Socket[] = [];
  readonly asked: number[] = [];
  /** What a handshake grants; 0 means that the session has ended. */
  granted = 1_000;
  answer: (socket: Socket, asked: Asked) => void = (socket, { xid }) => socket.write(reply(xid));

  private constructor(private readonly server: Server) {
    server.on('connection', (socket) => this.#serve(socket));
  }

  static async start(): Promise<Played> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Played(server);
  }

  client(): ZooKeeperClient {
    const { port } = this.server.address() as AddressInfo;
    const client = new ZooKeeperClient({
      hosts: [{ host: '127.0.0.1', port }],
      chroot: '/app',
      sessionTimeout: 1_000,
    });
    clients.push(client);
    return client;
  }

  stop(): void {
    for (const socket of this.connections) socket.destroy();
    this.server.close();
  }

  #serve(socket: Socket): void {
    this.connections.push(socket);
    socket.on('error', () => undefined);
    const packets = new Packets();
    let isIn = false;
    socket.on('data', (chunk) => {
      packets.add(chunk);
      for (let packet = packets.next(); packet; packet = packets.next()) {
        const from = new Reader(packet);
        if (isIn) {
          const asked = { xid: from.int(), code: from.int(), from };
          this.asked.push(asked.code);
          this.answer(socket, asked);
        } else {
          isIn = true;
          socket.write(handshake(this.granted));
        }
      }
    });
  }
}

const clients: ZooKeeperClient[] = [];
const servers: Played[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
  for (const server of servers.splice(0)) server.stop();
});

async function play(): Promise<Played> {
  const server = await Played.start();
  servers.push(server);
  return server;
}

function handshake(granted: number): Buffer {
  const to = new Writer();
  to.int(0);
  to.int(granted);
  to.long(granted > 0 ? 7n : 0n);
  to.bytes(Buffer.alloc(16));
  to.boolean(false);
  return to.packet();
}

function reply(xid: number, code = 0, body: (to: Writer) => void = () => undefined): Buffer {
  const to = new Writer();
  to.int(xid);
  to.long(42n);
  to.int(code);
  body(to);
  return to.packet();
}

/** Resolves when the client is in that state. */
const state = (client: ZooKeeperClient, wanted: SessionState): Promise<void> =>
  new Promise((resolve) => {
    if (client.state === wanted) return resolve();
    const stop = client.onState((now) => {
      if (now !== wanted) return;
      stop();
      resolve();
    });
  });

describe("The client for ZooKeeper's protocol", () => {
  it('reads an answer that comes byte by byte', async () => {
    const server = await play();
    server.answer = (socket, { xid }) => {
      for (const byte of reply(xid, 0, (to) => to.list(['a', 'b'], (name) => to.string(name))))
        socket.write(Buffer.of(byte));
    };
    const client = server.client();
    const answer = await client.ask(requests.ephemerals('/app'));
    expect(answer).toEqual({ value: ['a', 'b'], at: 42 });
  });

  it('tells the answers of a server by their names, with what to do', async () => {
    const server = await play();
    server.answer = (socket, { xid }) => socket.write(reply(xid, -102));
    const asked = server.client().ask(requests.remove('/app/x'));
    await expect(asked).rejects.toThrow(/NoAuth \(-102\) of \/app\/x: this login may not do that/);
    expect(await asked.catch((error: unknown) => is(error, 'NoAuth'))).toBe(true);
  });

  it.each([
    ['to another question', (socket: Socket, { xid }: Asked) => socket.write(reply(xid + 1))],
    ['that is too short', (socket: Socket) => socket.write(Buffer.from('0000000200ff', 'hex'))],
    ['of some other sort of server', (socket: Socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ] as const)('leaves a connection with an answer %s, and comes back with the same session', async (_, spoil) => {
    const server = await play();
    const client = server.client();
    await client.ready();
    const good = server.answer;
    server.answer = spoil;
    const suspended = state(client, 'suspended');
    await expect(client.ask(requests.remove('/app/x'))).rejects.toThrow(/The connection to ZooKeeper/);
    await suspended;
    server.answer = good;
    await client.ask(requests.remove('/app/x'));
    expect([client.state, client.id, server.connections.length]).toEqual(['connected', '7', 2]);
    // What the new server has not seen yet must not show the past.
    expect(server.asked).toContain(SYNC);
  });

  it('leaves a server that owes an answer and is silent, long before the session could end', async () => {
    const server = await play();
    const client = server.client();
    await client.ready();
    server.answer = () => undefined;
    const startedAt = performance.now();
    await expect(client.ask(requests.remove('/app/x'))).rejects.toThrow(/was silent for 250 ms/);
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });

  it('pings only when the session is renewed, and a server that is cut off from its leader confirms nothing', async () => {
    const server = await play();
    const client = server.client();
    await client.ready();
    await client.renew();
    expect(server.asked).toEqual([PING, SYNC]);
    server.answer = (socket, { xid, code }) => void (code === PING && socket.write(reply(xid)));
    await expect(client.renew()).rejects.toThrow(/silent/);
  });

  it('is lost when a server says that the session has ended, and suspended before', async () => {
    const server = await play();
    const client = server.client();
    await client.ready();
    const states: SessionState[] = [];
    client.onState((now) => states.push(now));
    server.granted = 0;
    const lost = state(client, 'lost');
    server.connections[0]?.destroy();
    await lost;
    expect(states).toEqual(['suspended', 'lost']);
    const asked = client.ask(requests.remove('/app/x'));
    await expect(asked).rejects.toThrow(/session 7 has ended/);
  });

  it('ends its session in words when it is closed, and asks nothing afterwards', async () => {
    const server = await play();
    const client = server.client();
    await client.ready();
    await client.close();
    expect([server.asked.at(-1), client.state]).toEqual([CLOSE, 'closed']);
    await expect(client.ask(requests.remove('/app/x'))).rejects.toThrow(/was closed/);
  });

  it('tells a watcher after the answer that set its watch, also when both come in one chunk', async () => {
    const server = await play();
    server.answer = (socket, { xid }) => {
      const event = new Writer();
      event.int(-1);
      event.long(-1n);
      event.int(0);
      event.int(2);
      event.int(3);
      event.string('/app/x');
      const stat = (to: Writer): void => {
        to.bytes(Buffer.from('data'));
        for (const long of [1n, 2n, 3n, 4n]) to.long(long);
        for (const int of [0, 0, 0]) to.int(int);
        to.long(7n);
        for (const int of [4, 0]) to.int(int);
        to.long(5n);
      };
      socket.write(Buffer.concat([reply(xid, 0, stat), event.packet()]));
    };
    const told: string[] = [];
    const heard = new Promise<void>((resolve) => {
      const listener = {
        happened(type: string) {
          told.push(type);
          resolve();
        },
      };
      void server
        .client()
        .ask(requests.get('/app/x', true), listener)
        .then(async ({ value }) => {
          // However many promises lie in between.
          for (let hop = 0; hop < 5; hop++) await Promise.resolve();
          told.push(value.data.toString());
        });
    });
    await heard;
    expect(told).toEqual(['data', 'deleted']);
  });
});

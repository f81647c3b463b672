import { connect, createServer, type Server } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { etcd } from '../../lib/backends/etcd/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { type EtcdServer, startEtcd } from '../servers/etcd.js';

/** A member in front of the cluster that can do what it is asked and die before it answers. */
class Swallower {
  readonly #server: Server;
  /** The next request that names it is carried out, and its answer is lost. */
  armed: string | undefined;
  swallowed = 0;

  constructor(port: number) {
    this.#server = createServer((inside) => {
      const outside = connect(port, '127.0.0.1');
      let mute = false;
      const end = (): void => {
        inside.destroy();
        outside.destroy();
      };
      inside.on('data', (data) => {
        if (this.armed !== undefined && data.includes(this.armed)) {
          this.armed = undefined;
          this.swallowed++;
          mute = true;
        }
        outside.write(data);
      });
      // The answer has come, so the request was carried out.
      outside.on('data', (data) => void (mute ? end() : inside.write(data)));
      for (const socket of [inside, outside]) socket.on('error', end).on('close', end);
    });
  }

  listen(): Promise<string> {
    return new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.1', () => {
        const address = this.#server.address();
        resolve(`127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`);
      });
    });
  }

  stop(): void {
    this.#server.close();
  }
}

describe('A request that one member carried out without an answer, and that goes to the next one', () => {
  let server: EtcdServer;
  let first: Swallower;
  let host: string;
  let engine: LockEngine;

  beforeAll(async () => {
    server = await startEtcd();
    first = new Swallower(Number(server.host.split(':')[1]));
    host = await first.listen();
  });
  afterEach(async () => {
    await engine.close(0);
    vi.restoreAllMocks();
  });
  afterAll(async () => {
    first.stop();
    await server.stop();
  });

  /** An engine that begins with the member that swallows. */
  function begin(): string[] {
    vi.spyOn(Math, 'random').mockReturnValue(0);
    engine = new LockEngine(etcd({ hosts: [host, server.host] }), { prefix: `resent-${process.pid}:` });
    const events: string[] = [];
    engine.listen(({ type }) => events.push(type));
    return events;
  }

  it('a release is not told as a loss', async () => {
    const events = begin();
    const lock = await engine.acquire('released');
    first.armed = `resent-${process.pid}:released/`;
    const before = first.swallowed;
    expect(await lock.release()).toBe(true);
    expect(first.swallowed).toBe(before + 1);
    expect(events).toContain('released');
    expect(events).not.toContain('lost');
    expect((await engine.inspect('released')).held).toBe(false);
  });

  it('a `minHold` keeps the key closed', async () => {
    const events = begin();
    const lock = await engine.acquire('closed', { minHold: '20s' });
    first.armed = `resent-${process.pid}:closed/`;
    const before = first.swallowed;
    expect(await lock.release()).toBe(true);
    expect(first.swallowed).toBe(before + 1);
    expect(events).not.toContain('lost');
    expect(await engine.tryAcquire('closed')).toBeNull();
  });

  it('an acquisition takes one place', async () => {
    begin();
    first.armed = `resent-${process.pid}:taken/`;
    const before = first.swallowed;
    const lock = await engine.acquire('taken');
    expect(first.swallowed).toBe(before + 1);
    expect((await engine.inspect('taken')).holders).toHaveLength(1);
    expect(await lock.release()).toBe(true);
    expect((await engine.inspect('taken')).held).toBe(false);
  });
});

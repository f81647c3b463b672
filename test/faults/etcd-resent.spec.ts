import { connect, createServer, type Server } from 'node:net';
import { Etcd3 } from 'etcd3';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { etcd } from '../../lib/backends/etcd/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { type EtcdServer, startEtcd } from '../servers/etcd.js';
import { eventually } from '../servers/eventually.js';

/** A member in front of the cluster that can do what it is asked and die before it answers. */
class Swallower {
  readonly #server: Server;
  readonly #etcd: Etcd3;
  #armed: { readonly name: string; readonly revision: number } | undefined;
  swallowed = 0;

  constructor(port: number) {
    this.#etcd = new Etcd3({ hosts: `127.0.0.1:${port}` });
    this.#server = createServer((inside) => {
      const outside = connect(port, '127.0.0.1');
      let mute = false;
      const end = (): void => {
        inside.destroy();
        outside.destroy();
      };
      inside.on('data', (data) => {
        outside.write(data);
        const armed = this.#armed;
        if (!armed || !data.includes(armed.name)) return;
        this.#armed = undefined;
        this.swallowed++;
        mute = true;
        void eventually('it is carried out', async () => (await this.#revision()) > armed.revision).finally(end);
      });
      outside.on('data', (data) => void (mute || inside.write(data)));
      for (const socket of [inside, outside]) socket.on('error', end).on('close', end);
    });
  }

  /** The next request that names it is carried out, and its answer is lost. It has to be one that writes. */
  async arm(name: string): Promise<void> {
    this.#armed = { name, revision: await this.#revision() };
  }

  async #revision(): Promise<number> {
    return Number((await this.#etcd.get('nothing').exec()).header.revision);
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
    this.#etcd.close();
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
    await first.arm(`resent-${process.pid}:released/`);
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
    await first.arm(`resent-${process.pid}:closed/`);
    const before = first.swallowed;
    expect(await lock.release()).toBe(true);
    expect(first.swallowed).toBe(before + 1);
    expect(events).not.toContain('lost');
    expect(await engine.tryAcquire('closed')).toBeNull();
  });

  it('an acquisition takes one place', async () => {
    begin();
    await first.arm(`resent-${process.pid}:taken/`);
    const before = first.swallowed;
    const lock = await engine.acquire('taken');
    expect(first.swallowed).toBe(before + 1);
    expect((await engine.inspect('taken')).holders).toHaveLength(1);
    expect(await lock.release()).toBe(true);
    expect((await engine.inspect('taken')).held).toBe(false);
  });
});

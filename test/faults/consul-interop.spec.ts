import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { consul } from '../../lib/backends/consul/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockConfigurationError } from '../../lib/lock/errors.js';
import { ask, type ConsulServer, startConsul } from '../servers/consul.js';
import { eventually } from '../servers/eventually.js';
import { dyingWithUs } from '../servers/process.js';
import { inLine } from './support/in-pod.js';

/** The prefix that a lock with this key has for `consul lock`. */
const prefixOf = (key: string): string => `nestjs-distributed-lock/lock:${key}`;
const ttl = 10_000;

/** A real `consul lock`, whose command says when it has the lock and keeps it until it is told to go. */
class ConsulLock {
  readonly #child: ChildProcess;
  #output = '';

  constructor(url: string, key: string, ...options: string[]) {
    const args = ['lock', '-http-addr', url, '-pass-stdin', ...options, prefixOf(key), 'echo entered; read line'];
    this.#child = spawn(...dyingWithUs('consul', args), { stdio: ['pipe', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    }
  }

  get inside(): boolean {
    return this.#output.includes('entered');
  }

  async entered(): Promise<void> {
    await eventually('consul lock has the lock', () => this.inside, {
      unless: () => (this.#child.exitCode === null ? undefined : `it ended and said: ${this.#output}`),
    });
  }

  /** Lets its command end; resolves to what it said until it has ended. */
  async end(): Promise<string> {
    this.#child.stdin?.write('go\n');
    return this.ended();
  }

  async ended(): Promise<string> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'close');
    return this.#output;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

describe('Beside the real consul lock, on one name', () => {
  let server: ConsulServer;
  let engine: LockEngine;
  let other: LockEngine;
  const started: ConsulLock[] = [];

  const theirs = (key: string, ...options: string[]): ConsulLock => {
    const lock = new ConsulLock(server.url, key, ...options);
    started.push(lock);
    return lock;
  };
  /** Its session stands at the gate, or asks for it. */
  const gateOf = async (key: string): Promise<{ Session?: string } | undefined> => {
    const found = ask(server.url, 'GET', `/v1/kv/${prefixOf(key)}/.lock`).catch(() => []);
    return ((await found) as { Session?: string }[])[0];
  };

  beforeAll(async () => {
    server = await startConsul({ own: true });
    const make = () =>
      new LockEngine(consul({ url: server.url, sessionTtlMin: '1s', layout: 'consul-lock' }), { callTimeout: 5_000 });
    [engine, other] = [make(), make()];
  });
  afterAll(async () => {
    for (const lock of started) lock.kill();
    await Promise.all([engine?.close(0), other?.close(0)]);
    await server?.stop();
  });

  it('waits for a lock of ours, and enters when that is released', async () => {
    const ours = await engine.acquire('first', { ttl });
    const peer = theirs('first');
    const impatient = theirs('first', '-timeout', '1s');
    expect(await impatient.ended()).not.toContain('entered');
    expect(peer.inside).toBe(false);
    expect(await ours.release()).toBe(true);
    await peer.entered();
    expect(await peer.end()).not.toMatch(/fail|error/i);
    expect(await gateOf('first')).toBe(undefined);
  });

  it('we wait for a lock of its, in our line, and enter when it ends', async () => {
    const peer = theirs('second');
    await peer.entered();
    expect(await engine.tryAcquire('second', { ttl })).toBe(null);
    const waiting = engine.acquire('second', { ttl, wait: '20s' });
    await inLine(other, 'second', 1);
    const behind = other.acquire('second', { ttl, wait: '20s' });
    await inLine(other, 'second', 2);
    expect((await engine.inspect('second')).holders[0]?.owner).toMatch(/^consul lock, session [\da-f-]{36}$/);
    expect(await peer.end()).not.toMatch(/fail|error/i);
    const ours = await waiting;
    expect((await gateOf('second'))?.Session).toMatch(/./);
    await ours.release();
    const next = await behind;
    expect(next.fencingToken).toBeGreaterThan(ours.fencingToken!);
    expect(await next.release()).toBe(true);
    expect(await ask(server.url, 'GET', `/v1/kv/${prefixOf('second')}?keys`).catch(() => [])).toEqual([]);
  });

  it('both sorts take turns, and nobody is ever inside beside another', async () => {
    let inside = 0;
    const peers = Array.from({ length: 3 }, () => theirs('turns'));
    const ours = Array.from({ length: 12 }, async (_, number) => {
      const lock = await [engine, other][number % 2]!.acquire('turns', { ttl, wait: '25s' });
      expect(++inside).toBe(1);
      // One that has entered ends only when its word of that was read.
      // Its word that it is inside can come late, but not before it is: after a moment it must still not be there.
      const before = peers.filter((peer) => peer.inside).length;
      await engine.inspect('turns');
      expect(peers.filter((peer) => peer.inside).length).toBe(before);
      inside--;
      await lock.release();
    });
    const turns = peers.map(async (peer) => {
      await peer.entered();
      await peer.end();
    });
    await Promise.all([...ours, ...turns]);
    expect(peers.every((peer) => peer.inside)).toBe(true);
  });

  it('never harms its semaphore, and says what the key is used as', async () => {
    const permits = [theirs('permits', '-n', '3'), theirs('permits', '-n', '3')];
    await Promise.all(permits.map((permit) => permit.entered()));
    const before = await ask(server.url, 'GET', `/v1/kv/${prefixOf('permits')}?recurse`);
    const asked = engine.acquire('permits', { ttl, wait: '5s' });
    await expect(asked).rejects.toThrow(/in use as a semaphore .*3/);
    await expect(asked).rejects.toThrow(LockConfigurationError);
    expect(await ask(server.url, 'GET', `/v1/kv/${prefixOf('permits')}?recurse`)).toEqual(before);
    for (const permit of permits) expect(await permit.end()).not.toMatch(/fail|lost/i);
  });

  it('says no to its semaphore on a key that we have', async () => {
    const ours = await engine.acquire('ours', { ttl });
    expect(await theirs('ours', '-n', '3').ended()).toMatch(/Existing key does not match semaphore use/);
    expect(ours.held).toBe(true);
    expect(await ours.release()).toBe(true);
  });

  it('leaves an entry alone that is no lock at all', async () => {
    await ask(server.url, 'PUT', `/v1/kv/${prefixOf('data')}/.lock`, { body: 'mine' });
    await expect(engine.acquire('data', { ttl, wait: '5s' })).rejects.toThrow(/in use as something else/);
    expect(await ask(server.url, 'GET', `/v1/kv/${prefixOf('data')}/.lock?raw`).catch(String)).toMatch(/mine/);
  });

  it('takes over what a consul lock left behind that died', async () => {
    const peer = theirs('left');
    await peer.entered();
    const session = (await gateOf('left'))?.Session;
    peer.kill();
    // As its end would be, but for the delay of 15 s that Consul adds to one that nobody asked for.
    await ask(server.url, 'PUT', `/v1/kv/${prefixOf('left')}/.lock?release=${session}&flags=3304740253564472344`);
    const ours = await engine.acquire('left', { ttl, wait: '20s' });
    expect(await theirs('left', '-timeout', '1s').ended()).not.toContain('entered');
    expect(await ours.release()).toBe(true);
  });

  it('tells a holder whose gate was removed by hand, and a forced release opens it for both', async () => {
    const ours = await engine.acquire('forced', { ttl: '1s' });
    await other.forceRelease('forced');
    const peer = theirs('forced');
    await peer.entered();
    await eventually('the holder is told', () => ours.signal.aborted);
    await ours.release();
    expect((await other.inspect('forced')).holders).toHaveLength(1);
    await peer.end();
  });

  it('refuses what consul lock has no word for', async () => {
    await expect(engine.acquire('readers', { mode: 'shared', ttl })).rejects.toThrow(LockConfigurationError);
    await expect(engine.acquire('permit', { limit: 3, ttl })).rejects.toThrow(LockConfigurationError);
    expect(() => consul({ url: 'http://consul', layout: 'curator' as 'own' })).toThrow(LockConfigurationError);
  });
});

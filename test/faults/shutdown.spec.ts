import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dyingWithUs } from '../servers/process.js';
import { type RedisServer, startRedis } from '../servers/redis.js';
import { now } from './support/machine-clock.js';
import type { NestPodOptions, Said } from './support/nest-pod.js';

const PROGRAM = fileURLToPath(new URL('support/nest-pod.ts', import.meta.url));

/** A Nest application in a process of its own, at work or in line for the same lock. */
class NestPod implements AsyncDisposable {
  readonly #said: Said[] = [];
  readonly #child: ChildProcess;
  readonly exited: Promise<{ readonly signal: NodeJS.Signals | null; readonly at: number }>;

  constructor(options: NestPodOptions) {
    const args = ['--import', '@oxc-node/core/register', PROGRAM, JSON.stringify(options)];
    this.#child = spawn(...dyingWithUs(process.execPath, args), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child.on('message', (said: Said) => this.#said.push(said));
    this.exited = once(this.#child, 'exit').then(([, signal]) => ({ signal, at: now() }));
  }

  /** Resolves with what it said, or says next. */
  async hears(what: Said['what']): Promise<Said> {
    for (;;) {
      const said = this.#said.find((each) => each.what === what);
      if (said !== undefined) return said;
      await once(this.#child, 'message');
    }
  }

  terminate(): number {
    const at = now();
    this.#child.kill('SIGTERM');
    return at;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }
}

describe('SIGTERM while a job of minutes holds a lock', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server?.stop());

  async function pods(options: Omit<NestPodOptions, 'url'>): Promise<readonly [NestPod, NestPod]> {
    const first = new NestPod({ ...options, url: server.url });
    await first.hears('acquired');
    const next = new NestPod({ ...options, url: server.url });
    await next.hears('waiting');
    return [first, next];
  }

  it('a job that is told to stop ends by itself, and the next pod has the lock within a second', async () => {
    const [first, next] = await pods({ onShutdown: 'abort', shutdownGrace: 20_000 });
    await using _first = first;
    await using _next = next;
    const terminated = first.terminate();
    const [told, stopped, taken, end] = await Promise.all([
      first.hears('told'),
      first.hears('stopped'),
      next.hears('acquired'),
      first.exited,
    ]);
    expect(told.more).toBe('LOCK_CLOSED');
    // Not after the grace of 20 s, and with its lock.
    expect(told.at - terminated).toBeLessThan(5_000);
    expect(stopped.more).toBe(true);
    expect(taken.at).toBeGreaterThan(stopped.at);
    expect(taken.at - stopped.at).toBeLessThan(1_000);
    expect(end.signal).toBe('SIGTERM');
  });

  it('one that is not told at once hears of it before it is cut off, and has a moment to stop', async () => {
    const shutdownGrace = 500;
    const [first, next] = await pods({ onShutdown: 'finish', shutdownGrace });
    await using _first = first;
    await using _next = next;
    const terminated = first.terminate();
    const [told, stopped, released, taken, end] = await Promise.all([
      first.hears('told'),
      first.hears('stopped'),
      first.hears('released'),
      next.hears('acquired'),
      first.exited,
    ]);
    expect(told.at - terminated).toBeGreaterThanOrEqual(shutdownGrace - 50);
    expect(stopped.more).toBe(true);
    expect(released.more).toBe('shutdown');
    expect(taken.at).toBeGreaterThan(stopped.at);
    expect(taken.at - stopped.at).toBeLessThan(1_000);
    expect(end.at).toBeGreaterThan(stopped.at);
  });
});

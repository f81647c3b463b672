import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Redis } from 'ioredis';
import type { Duration } from '../../../lib/lock/duration.js';
import type { LockEngine } from '../../../lib/engine/engine.js';
import { freeze } from '../../servers/freeze.js';
import { dyingWithUs } from '../../servers/process.js';
import { program } from './program.js';

export interface PodOptions {
  /** The test's Redis. */
  readonly url?: string;
  /** The members of the test's etcd, where that keeps the locks. */
  readonly etcd?: readonly string[];
  /** The address of the test's PostgreSQL, where that keeps the locks. */
  readonly postgres?: string;
  /** The address of the test's MariaDB, where that keeps the locks. */
  readonly mysql?: string;
  /** The connect string of the test's ZooKeeper, where that keeps the locks. */
  readonly zookeeper?: string;
  /** The addresses of the test's Consul agents, where those keep the locks. */
  readonly consul?: readonly string[];
  /** @default '10m' */
  readonly counterTtl?: Duration;
  /** More arguments for node. */
  readonly node?: readonly string[];
  /** What it has in its environment besides. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What a function that a test sends into a pod finds there. */
export interface Inside {
  /** Locks on the test's server, with a client of their own; made when first asked for. */
  readonly engine: LockEngine;
  /** Another client of the same Redis, for what the locks protect. */
  readonly redis: Redis;
  /** What one function leaves for a later one. */
  readonly kept: Record<string, any>;
  /** The machine's monotonic clock, in milliseconds. */
  readonly now: () => number;
  readonly sleep: (milliseconds: number) => Promise<void>;
  /** Tells the test something, before the function ends. */
  readonly say: (word: string, value?: unknown) => void;
  /** From here on neither the test nor its Redis client keeps the process alive; what does is the locks' doing. */
  readonly letGo: () => void;
}

/** What a pod said, and when by the machine's clock. */
export interface Said {
  readonly word: string;
  readonly value: any;
  readonly at: number;
}

export interface Order {
  readonly id: number;
  readonly work: string;
  readonly argument: unknown;
}
export type Report =
  | { readonly type: 'ready' }
  | ({ readonly type: 'said' } & Said)
  | { readonly type: 'done'; readonly id: number; readonly value: unknown }
  | { readonly type: 'failed'; readonly id: number; readonly error: object };

const running = new Set<Pod>();
// SIGKILL also ends a frozen one.
process.on('exit', () => running.forEach((pod) => pod.vanish()));

/** A real process that uses the locks, to be frozen and killed. */
export class Pod {
  readonly #said: Said[] = [];
  readonly #pending = new Map<number, { resolve: (value: any) => void; reject: (error: Error) => void }>();
  readonly #listeners = new Set<() => void>();
  #orders = 0;
  #killed = false;
  readonly exited: Promise<number | null>;

  private constructor(private readonly child: ChildProcess) {
    running.add(this);
    this.exited = once(child, 'exit').then(([code]) => {
      running.delete(this);
      const ended = new Error(`A pod ended by itself, with ${String(child.exitCode ?? child.signalCode)}.`);
      if (!this.#killed) for (const { reject } of this.#pending.values()) reject(ended);
      this.#wake();
      return code as number | null;
    });
    child.on('message', (message) => this.#receive(message as Report));
  }

  static async start(options: PodOptions): Promise<Pod> {
    const args = [...(options.node ?? []), await program(), JSON.stringify(options)];
    const child = spawn(...dyingWithUs(process.execPath, args), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
      env: { ...process.env, ...options.env },
    });
    const pod = new Pod(child);
    await Promise.race([
      once(child, 'message'),
      pod.exited.then((code) => {
        throw new Error(`A pod did not start: it ended with ${code}.`);
      }),
    ]);
    return pod;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /**
   * Runs the function in the pod, and resolves to what it returns. It travels as its text, so it may use nothing but its two
   * arguments and what is global.
   */
  run<R>(work: (inside: Inside) => R): Promise<Awaited<R>>;
  run<A, R>(work: (inside: Inside, argument: A) => R, argument: A): Promise<Awaited<R>>;
  run(work: (inside: Inside, argument: any) => unknown, argument?: unknown): Promise<any> {
    return new Promise((resolve, reject) => {
      const id = ++this.#orders;
      this.#pending.set(id, { resolve, reject });
      this.child.send({ id, work: work.toString(), argument } satisfies Order);
    });
  }

  /** The next time the pod says this word; what it said earlier counts, once. */
  async hears(word: string, within = 10_000): Promise<Said> {
    const deadline = performance.now() + within;
    for (;;) {
      const index = this.#said.findIndex((said) => said.word === word);
      const [said] = index < 0 ? [] : this.#said.splice(index, 1);
      if (said) return said;
      if (this.child.exitCode !== null) throw new Error(`A pod ended before it said '${word}'.`);
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`A pod did not say '${word}' within ${within} ms.`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#listeners.add(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** SIGSTOP: not a single instruction runs from when this returns until `thaw`. */
  freeze(): void {
    freeze(this.pid);
  }

  thaw(): void {
    this.child.kill('SIGCONT');
  }

  /** SIGKILL. What it was running never resolves. */
  async kill(): Promise<void> {
    this.#killed = true;
    this.child.kill('SIGKILL');
    await this.exited;
  }

  vanish(): void {
    this.child.kill('SIGKILL');
  }

  #wake(): void {
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }

  #receive(message: Report): void {
    if (message.type === 'ready') return;
    if (message.type === 'said') {
      this.#said.push(message);
      this.#wake();
      return;
    }
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.type === 'done') pending?.resolve(message.value);
    else pending?.reject(Object.assign(new Error('in a pod'), message.error));
  }
}

export type Pods = readonly Pod[] & AsyncDisposable;

/** Pods that end with the test: `await using pods = await startPods(4, { url })`. */
export async function startPods(count: number, options: PodOptions): Promise<Pods> {
  const pods = await Promise.all(Array.from({ length: count }, () => Pod.start(options)));
  return Object.assign(pods, {
    async [Symbol.asyncDispose]() {
      await Promise.all(pods.map((pod) => pod.kill()));
    },
  });
}

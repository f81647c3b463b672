import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

interface Message {
  readonly type: string;
  readonly value: unknown;
}

const program = fileURLToPath(new URL('worker.js', import.meta.url));

/** A process of its own for one contender in one trial: nothing of a trial is warm, or broken, in the next. */
export class Worker {
  readonly #child: ChildProcess;
  readonly #messages: Message[] = [];
  readonly #waiting = new Map<string, (value: unknown) => void>();
  readonly #failed: Promise<never>;
  #ended = false;

  /** @param task what the worker gets to know, as JSON; @param cores the cores it may run on; all if left out */
  constructor(task: object, cores?: string) {
    const node = [process.execPath, '--expose-gc', program];
    const [command = '', ...args] = cores === undefined ? node : ['taskset', '-c', cores, ...node];
    this.#child = spawn(command, args, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
      env: { ...process.env, NODE_OPTIONS: '', NODE_NO_WARNINGS: '1' },
    });
    this.#failed = new Promise((_, reject) => {
      this.#child.once('error', reject);
      this.#child.once('exit', (code, signal) => {
        if (!this.#ended) reject(new Error(`the process ended with ${signal ?? code}`));
      });
      this.#waiting.set('failed', (reason) => reject(new Error(String(reason))));
    });
    this.#failed.catch(() => undefined);
    this.#child.on('message', (message: Message) => {
      const receive = this.#waiting.get(message.type);
      if (!receive) this.#messages.push(message);
      else {
        this.#waiting.delete(message.type);
        receive(message.value);
      }
    });
    this.send('task', task);
  }

  send(type: string, value?: unknown): void {
    if (this.#child.connected) this.#child.send({ type, value });
  }

  /** The next message of that type; rejects when the process ends without one, or says why it failed. */
  receive<T>(type: string): Promise<T> {
    const at = this.#messages.findIndex((message) => message.type === type);
    const [message] = at < 0 ? [] : this.#messages.splice(at, 1);
    if (message) return Promise.resolve(message.value as T);
    return Promise.race([
      new Promise<T>((resolve) => this.#waiting.set(type, resolve as (value: unknown) => void)),
      this.#failed,
    ]);
  }

  async stop(): Promise<void> {
    this.#ended = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';

const env = { ...process.env, ETCDCTL_API: '3' };

/** Runs `etcdctl` and returns what it printed. */
export function etcdctl(host: string, ...args: string[]): string {
  const { stdout, stderr, status } = spawnSync('etcdctl', ['--endpoints', host, ...args], { env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`etcdctl ${args.join(' ')}: ${stderr}`);
  return stdout;
}

const running = new Set<ChildProcess>();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** The real `etcdctl lock <name>`, as an operator runs it. */
export class EtcdctlLock implements AsyncDisposable {
  /** Resolves to the key that it holds when it has it. */
  readonly acquired: Promise<string>;
  readonly #child: ChildProcess;
  has = false;

  constructor(host: string, name: string) {
    this.#child = spawn('etcdctl', ['--endpoints', host, 'lock', name], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    running.add(this.#child);
    this.#child.once('exit', () => running.delete(this.#child));
    this.acquired = once(this.#child.stdout!, 'data').then(([text]) => {
      this.has = true;
      return String(text).trim();
    });
    this.acquired.catch(() => undefined);
  }

  /** As by Ctrl-C: it lets go and ends. */
  async release(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGINT');
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dataFolder } from './data-folder.js';
import { eventually } from './eventually.js';
import { freeze } from './freeze.js';
import { processTree, signal } from './process-tree.js';

/** What a test may do to a server. Every server of this folder has these, whether it is one process or several. */
export interface ServerControl extends AsyncDisposable {
  /** Freezes it (SIGSTOP): connections stay open, nothing answers, from when this returns. */
  pause(): void;
  resume(): void;
  /** Ends it without a word (SIGKILL). Its data stays for `restart`. */
  kill(): Promise<void>;
  /** Starts it again on the same port, after a kill if it still runs. With `keepData: false` it has forgotten everything. */
  restart(options?: { readonly keepData?: boolean }): Promise<void>;
  /** Ends it for good and removes its data. */
  stop(): Promise<void>;
}

export interface ServerRecipe {
  readonly name: string;
  readonly command: string;
  readonly args: (dataDir: string) => readonly string[];
  /** Writes what the server needs to find in its empty folder. */
  readonly prepare?: (dataDir: string) => void;
  readonly ready: () => Promise<boolean>;
  /** How long that may take, in milliseconds. @default 15_000 */
  readonly readyWithin?: number;
  /** Ends it for good, where SIGKILL would leave something behind. @default 'SIGKILL' */
  readonly endsBy?: NodeJS.Signals;
  /** Whether its data may not be in memory: see `dataFolder`. @default false */
  readonly onDisk?: boolean;
}

const running = new Set<ServerProcess>();
process.on('exit', () => running.forEach((server) => server.vanish()));

/** One real server as a child process, with its data in a temporary folder. */
export class ServerProcess implements ServerControl {
  readonly dataDir: string;
  #child: ChildProcess | undefined;
  #output = '';

  private constructor(private readonly recipe: ServerRecipe) {
    this.dataDir = dataFolder(recipe.name, recipe.onDisk);
    recipe.prepare?.(this.dataDir);
  }

  static async start(recipe: ServerRecipe): Promise<ServerProcess> {
    const server = new ServerProcess(recipe);
    running.add(server);
    try {
      await server.#spawn();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.recipe.name} is not running.`);
    return pid;
  }

  pause(): void {
    // The first one stands still before the others are looked up: it can start none meanwhile.
    freeze(this.pid);
    for (const pid of processTree(this.pid).slice(1)) if (isRunning(pid)) freeze(pid);
  }

  resume(): void {
    for (const pid of processTree(this.pid).reverse()) signal(pid, 'SIGCONT');
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async restart({ keepData = true } = {}): Promise<void> {
    await this.kill();
    if (!keepData) {
      rmSync(this.dataDir, { recursive: true, force: true });
      mkdirSync(this.dataDir);
      this.recipe.prepare?.(this.dataDir);
    }
    await this.#spawn();
  }

  /** Its data goes with it, so there is nothing that a gentler end would save. */
  async stop(): Promise<void> {
    await this.#end(this.recipe.endsBy ?? 'SIGKILL');
    this.#forget();
  }

  /** `stop` for a process that is on its way out and can wait for nothing. */
  vanish(): void {
    this.#child?.kill(this.recipe.endsBy ?? 'SIGKILL');
    this.#forget();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #end(by: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.pid === undefined || hasEnded(child)) return;
    const ended = once(child, 'exit');
    const tree = processTree(child.pid);
    for (const pid of by === 'SIGKILL' ? tree : [child.pid]) signal(pid, by);
    // One that stands still hears of nothing but SIGKILL.
    for (const pid of tree) signal(pid, 'SIGCONT');
    await ended;
    await eventually(`all processes of ${this.recipe.name} are gone`, () => !tree.some(isRunning));
  }

  async #spawn(): Promise<void> {
    const { name, command, args, ready, readyWithin = 15_000 } = this.recipe;
    const child = spawn(...dyingWithUs(command, args(this.dataDir)), { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    this.#output = '';
    let failure: Error | undefined;
    child.once('error', (error) => (failure = error));
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.#output = (this.#output + text).slice(-4000)));
    }
    await eventually(`${name} gets ready`, ready, {
      within: readyWithin,
      unless: () =>
        failure
          ? `${command} cannot be run: ${failure.message}`
          : hasEnded(child)
            ? `${command} ended with ${child.exitCode ?? child.signalCode}, and said:\n${this.#output}`
            : undefined,
    });
  }

  #forget(): void {
    running.delete(this);
    rmSync(this.dataDir, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Whether a process runs, as the kernel sees it: a zombie that nobody has reaped does not. */
export function isRunning(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

const hasSetpriv = spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0;

/** A command so that a test runner that is killed itself leaves nothing running. Linux only; elsewhere they end with a runner that ends well. */
export function dyingWithUs(command: string, args: readonly string[]): [string, string[]] {
  return hasSetpriv ? ['setpriv', ['--pdeathsig', 'KILL', command, ...args]] : [command, [...args]];
}

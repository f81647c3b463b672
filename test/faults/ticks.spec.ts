import { type ChildProcess, spawn } from 'node:child_process';
import { on, once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { dyingWithUs } from '../servers/process.js';
import { startRedis } from '../servers/redis.js';

const PROGRAM = fileURLToPath(new URL('ticks.process.ts', import.meta.url));

class Pod {
  readonly errors: Promise<string>;
  readonly #words: AsyncIterator<unknown[]>;

  constructor(private readonly child: ChildProcess) {
    this.#words = on(child, 'message');
    this.errors = child.stderr ? text(child.stderr) : Promise.resolve('');
  }

  tell(word: 'tick' | 'go' | 'end'): void {
    this.child.send(word);
  }

  /** What it says next. */
  async said(): Promise<string> {
    const { value } = (await this.#words.next()) as { value: [string] };
    return value[0];
  }

  async ended(): Promise<void> {
    if (this.child.exitCode === null) await once(this.child, 'exit');
  }
}

function start(url: string): Pod {
  const [command, args] = dyingWithUs(process.execPath, ['--import', '@oxc-node/core/register', PROGRAM, url]);
  const child = spawn(command, args, {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: { ...process.env, NO_COLOR: '1' },
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return new Pod(child);
}

it('of three processes one runs at each of 11 ticks, and the others count as skipped, never as a timeout', async () => {
  const server = await startRedis({ own: true });
  onTestFinished(() => server.stop());
  const pods = Array.from({ length: 3 }, () => start(server.url));
  expect(await Promise.all(pods.map((pod) => pod.said()))).toEqual(['ready', 'ready', 'ready']);

  for (let tick = 0; tick < 11; tick++) {
    for (const pod of pods) pod.tell('tick');
    const said = await Promise.all(pods.map((pod) => pod.said()));
    expect(said.toSorted()).toEqual(['running', 'skipped', 'skipped']);
    const runs = pods[said.indexOf('running')];
    runs?.tell('go');
    expect(await runs?.said()).toBe('ran');
  }

  for (const pod of pods) pod.tell('end');
  const metrics = (await Promise.all(pods.map((pod) => pod.said()))).join('\n');
  const counted = { acquired: 0, skipped: 0 };
  for (const [, outcome, count] of metrics.matchAll(/^lock_acquisitions_total\{.*outcome="(\w+)"\} (\d+)$/gm)) {
    expect(outcome).toMatch(/^(acquired|skipped)$/);
    counted[outcome as keyof typeof counted] += Number(count);
  }
  expect(counted).toEqual({ acquired: 11, skipped: 22 });
  expect(metrics).not.toMatch(/^lock_(failures|losses)_total\{/m);
  await Promise.all(pods.map((pod) => pod.ended()));
  expect(await Promise.all(pods.map(({ errors }) => errors))).toEqual(['', '', '']);
});

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { startRedis } from '../../test/servers/redis.js';

type Pod = ChildProcessByStdio<null, Readable, null>;

const MAIN = fileURLToPath(new URL('src/main.ts', import.meta.url));

/** A process of the sample that ticks each second; comes back when it has started. */
async function start(url: string, onLine: (line: string) => void): Promise<Pod> {
  const pod = spawn(process.execPath, ['--import', '@oxc-node/core/register', MAIN], {
    env: { ...process.env, NO_COLOR: '1', REDIS_URL: url, EACH: 'second' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void pod.kill('SIGKILL'));
  await new Promise<void>((started) => {
    createInterface(pod.stdout).on('line', (line) => {
      onLine(line);
      if (line.includes('ScheduleModule dependencies initialized')) started();
    });
  });
  return pod;
}

it('two processes send each report once, and log no error for the ticks that they skip', async () => {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  const reports: { readonly second: string; readonly token: bigint }[] = [];
  const errors: string[] = [];
  let enough = (): void => undefined;
  const sent = new Promise<void>((resolve) => (enough = resolve));
  const onLine = (line: string): void => {
    if (line.includes('ERROR')) errors.push(line);
    const [, second, token] = /report of (\S+), token (\d+)/.exec(line) ?? [];
    if (second !== undefined && token !== undefined && reports.push({ second, token: BigInt(token) }) === 5) enough();
  };

  const pods = await Promise.all([start(redis.url, onLine), start(redis.url, onLine)]);
  await sent;
  const ended = pods.map((pod) => once(pod, 'exit'));
  for (const pod of pods) pod.kill('SIGTERM');
  await Promise.all(ended);

  expect(errors).toEqual([]);
  expect(reports.map(({ second }) => second)).toEqual([...new Set(reports.map(({ second }) => second))]);
  expect(reports.map(({ token }) => token)).toEqual(
    reports.map(({ token }) => token).toSorted((a, b) => (a < b ? -1 : 1)),
  );
});

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { eventually } from './eventually.js';
import { freePort } from './free-port.js';
import { isRunning, ServerProcess } from './process.js';

describe('A server of a test', () => {
  it('that does not start says why, with its own last words, and leaves nothing', async () => {
    let folder = '';
    const start = ServerProcess.start({
      name: 'redis-broken',
      command: 'redis-server',
      args: (dataDir) => ['--port', 'nonsense', '--dir', (folder = dataDir)],
      ready: async () => false,
    });
    await expect(start).rejects.toThrow(/redis-broken gets ready: redis-server ended with 1, and said:[^]*nonsense/);
    expect(existsSync(folder)).toBe(false);
  });

  it('whose program is missing says so', async () => {
    const start = ServerProcess.start({
      name: 'none',
      command: 'no-such-server',
      args: () => [],
      ready: async () => false,
    });
    await expect(start).rejects.toThrow(/no-such-server/);
  });

  it('dies with its test runner, even if that is killed', async () => {
    const runner = fork(fileURLToPath(new URL('./process.orphan.ts', import.meta.url)), {
      execArgv: ['--import', '@oxc-node/core/register'],
    });
    const [{ pid, dataDir }] = (await once(runner, 'message')) as [{ pid: number; dataDir: string }];
    expect(isRunning(pid)).toBe(true);
    runner.kill('SIGKILL');
    await eventually('the server is gone', () => !isRunning(pid), { within: 2_000 });
    // What a kill leaves is a folder in the temporary directory, and nothing that runs.
    const { rm } = await import('node:fs/promises');
    await rm(dataDir, { recursive: true });
  });

  it('gets a port that nobody is using, and never twice the same', async () => {
    const ports = await Promise.all(Array.from({ length: 50 }, freePort));
    expect(new Set(ports).size).toBe(50);
  });
});

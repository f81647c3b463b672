import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { complaints } from './report.js';
import type { Result } from './rush.js';

const run = (...args: string[]) =>
  promisify(execFile)(process.execPath, [
    '--import',
    '@oxc-node/core/register',
    fileURLToPath(new URL('run.ts', import.meta.url)),
    ...args,
  ]);

describe('the demo', () => {
  it('shows that the shop oversells without a lock and does not with it', { timeout: 30_000 }, async () => {
    const { stdout } = await run('--orders', '60', '--stock', '20', '--customers', '30', '--processes', '3');
    const sold = /chairs sold\s+(\d+)\s+(\d+)/.exec(stdout);
    expect(Number(sold?.[1])).toBeGreaterThan(20);
    expect(Number(sold?.[2])).toBe(20);
    expect(stdout).toContain('Right: ');
  });

  it('ends with an error code for what it does not know', { timeout: 30_000 }, async () => {
    await expect(run('--backend', 'paper')).rejects.toMatchObject({
      code: 1,
      stdout: expect.stringContaining('--backend is paper'),
    });
  });

  it('finds fault with a lock that does not hold', () => {
    const right: Result = {
      stock: 2,
      sold: 2,
      soldTwice: 0,
      soldOut: 1,
      failed: [],
      seconds: 1,
      overlaps: 0,
      waits: [],
      handOvers: 2,
      tokens: 3,
      violations: [],
    };
    expect(complaints(right, 3)).toEqual([]);
    expect(complaints({ ...right, sold: 3, soldTwice: 1, tokens: 2, violations: ['An overlap.'] }, 3)).toEqual([
      '3 chairs were sold, and 2 would be right.',
      '1 chairs were sold more than once.',
      '2 fencing tokens for 3 orders.',
      'An overlap.',
    ]);
  });
});

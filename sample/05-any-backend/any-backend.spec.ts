import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { complaints } from '../demo/report.js';
import { rush } from '../demo/rush.js';
import { startServers } from '../demo/servers.js';
import { openHere } from '../demo/shop.js';
import { backendNames, backendOf } from './src/backend.js';

afterEach(() => vi.unstubAllEnvs());

describe('the shop with its locks where the environment says', () => {
  it.each(backendNames)('sells what it has and no more, from two doors: %s', { timeout: 60_000 }, async (name) => {
    const closers: (() => Promise<unknown>)[] = [];
    try {
      const warehouse = mkdtempSync(join(tmpdir(), 'any-backend-'));
      closers.push(async () => rmSync(warehouse, { recursive: true }));
      const { addresses, inOrder } = await startServers(name, closers);
      vi.stubEnv('LOCK_BACKEND', name);
      vi.stubEnv('LOCK_SERVERS', addresses);
      vi.stubEnv('WAREHOUSE', warehouse);
      const shops = await Promise.all([openHere(), openHere()]);
      closers.push(() => Promise.all(shops.map((shop) => shop.close())));
      const path = 'orders';
      const result = await rush(shops, { path, stock: 8, orders: 24, customers: 12, inOrder }, () => undefined);
      expect(complaints(result, 24)).toEqual([]);
      expect(result).toMatchObject({ sold: 8, soldOut: 16 });
    } finally {
      for (const close of closers.toReversed()) await close();
    }
  });

  it('is what the demo shows with processes of its own, and it ends by itself', { timeout: 120_000 }, async () => {
    const run = fileURLToPath(new URL('../demo/run.ts', import.meta.url));
    const counts = ['--orders', '24', '--stock', '8', '--customers', '12', '--processes', '2'];
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', '@oxc-node/core/register', run, '--backend', 'etcd', ...counts],
      { timeout: 100_000 },
    );
    expect(/chairs sold\s+\d+\s+8\n/.test(stdout)).toBe(true);
    expect(stdout).toContain('Right: ');
  });

  it('makes a backend of each name, and of no other', () => {
    for (const name of backendNames) expect(backendOf({ LOCK_BACKEND: name }).kind).toBe(name);
    expect(backendOf({}).kind).toBe('memory');
    expect(() => backendOf({ LOCK_BACKEND: 'paper' })).toThrow('LOCK_BACKEND is paper');
  });
});

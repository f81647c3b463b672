import { afterEach, describe, expect, it } from 'vitest';
import type { Claim, KeyBackend } from '../../lib/backends/backend.js';
import { mysql } from '../../lib/backends/mysql/index.js';
import { askMariadb, type MariadbServer, startMariadb } from '../servers/mariadb.js';

/**
 * MariaDB has one setting for all commits, so whether a hand-over outlives a crash is up to the server. This one writes what nobody waits for
 * only after three quarters of an hour, so a kill forgets it for certain.
 */
describe('A MariaDB that is killed right after a hand-over', () => {
  let server: MariadbServer;
  const backends: KeyBackend[] = [];
  afterEach(async () => {
    await Promise.all(backends.splice(0).map((backend) => backend.close()));
    await server.stop();
  });

  /** A lock that went from one to the other. */
  async function handedOver(flush: 0 | 1): Promise<{ next: Claim; warnings: readonly string[] }> {
    const slow = ['--innodb-flush-log-at-timeout=2700', '--innodb-max-dirty-pages-pct-lwm=0'];
    const args = [`--innodb-flush-log-at-trx-commit=${flush}`, ...slow];
    server = await startMariadb({ own: true, onDisk: true, args });
    const processOf = (): KeyBackend => {
      const backend = mysql({ uri: server.uri }) as KeyBackend;
      backends.push(backend);
      return backend;
    };
    const claimOf = (owner: string): Claim => ({
      ...{ key: 'crash', owner, mode: 'exclusive', limit: 1 },
      ...{ ttl: 60_000, claimTtl: 60_000 },
    });
    const [holder, waiter] = [processOf(), processOf()];
    const [first, next] = [claimOf('holder:1'), claimOf('next:1')];
    await holder.ping();
    const warnings = (await holder.warnings?.()) ?? [];
    await holder.attempt(first);
    const granted = new Promise<void>((resolve) => {
      void waiter.attempt(next, { granted: () => resolve(), look: () => undefined });
    });
    // It can be told from when it asked with its inbox open.
    const open = 'select owner from distributed_lock_waiter where not deaf';
    await expect.poll(() => askMariadb(server.uri, open), { timeout: 10_000 }).toHaveLength(1);
    await askMariadb(server.uri, 'flush engine logs');
    await holder.release(first);
    await granted;
    await server.kill();
    await server.restart();
    return { next, warnings };
  }
  const owner = async () => {
    const [row] = await askMariadb(server.uri, `select owner from distributed_lock_lock where name = 'crash'`);
    return String(row?.['owner']);
  };

  it('knows the successor, as each commit waits for the log', async () => {
    const { next, warnings } = await handedOver(1);
    expect(await owner()).toBe(next.owner);
    expect(warnings).toEqual([]);
  });

  it('does not where commits do not wait, and the boot says so', async () => {
    const { next, warnings } = await handedOver(0);
    expect(await owner()).not.toBe(next.owner);
    expect(warnings).toEqual([expect.stringMatching(/innodb_flush_log_at_trx_commit.*is 0.*can lose locks/)]);
  });
});

import { Client, Pool } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Claim, Grant, KeyBackend } from '../../lib/backends/backend.js';
import { postgres, type PostgresPool } from '../../lib/backends/postgres/index.js';
import { eventually } from '../servers/eventually.js';
import { askPostgres, type PostgresServer, startPostgres } from '../servers/postgres.js';

/**
 * What a release may leave to a later write to disk, and what it may not. The server writes what nobody waits for only every ten seconds
 * here, so a kill forgets it for certain.
 */
describe('A PostgreSQL that is killed before it has written what nobody waited for', () => {
  let server: PostgresServer;
  const backends: KeyBackend[] = [];
  const pools: Pool[] = [];

  beforeEach(async () => {
    const settings = { wal_writer_delay: '10s', wal_writer_flush_after: '1GB', autovacuum: 'off' };
    server = await startPostgres({ own: true, durable: true, settings });
  });
  afterEach(async () => {
    await Promise.all(backends.splice(0).map((backend) => backend.close()));
    await Promise.all(pools.splice(0).map((pool) => pool.end()));
    await server.stop();
  });

  /** One more process. */
  function processOf(name: string, ttl: number, claimTtl = 1_000, options = '') {
    const pool = new Pool({ connectionString: server.url, options });
    pools.push(pool);
    let lose = false;
    const over = {
      options: pool.options,
      Client,
      connect: () => pool.connect(),
      on: (event: 'error', listener: (error: Error) => void) => pool.on(event, listener),
      end: () => pool.end(),
      async query(statement: Parameters<PostgresPool['query']>[0]) {
        const answer = await pool.query<unknown[]>(statement);
        if (!lose) return answer;
        lose = false;
        throw new Error('The answer was lost.');
      },
    };
    const backend = postgres({ pool: over }) as KeyBackend;
    backends.push(backend);
    const claim: Claim = { key: 'crash', owner: `${name}:1`, mode: 'exclusive', limit: 1, ttl, claimTtl };
    let pushed: (grant: Grant) => void;
    const granted = new Promise<Grant>((resolve) => (pushed = resolve));
    const waiter = { granted: (grant: Grant) => pushed(grant), look: () => undefined };
    return {
      claim,
      granted,
      loseNextAnswer: () => void (lose = true),
      ask: () => backend.attempt(claim),
      renew: (to: number) => backend.renew([{ ...claim, ttl: to }]),
      join: () => backend.attempt(claim, waiter),
      release: () => backend.release(claim),
      vanish: () => backend.close(),
    };
  }
  const row = async () => {
    const [found] = await askPostgres(
      server.url,
      `select owner, ends, firm from distributed_lock.locks where key = 'crash'`,
    );
    return found ?? {};
  };

  it('a hand-over that was forgotten frees the lock for nobody before the successor stops believing in it', async () => {
    const [holder, next, other] = [processOf('holder', 4_000), processOf('next', 4_000), processOf('other', 4_000)];
    expect((await holder.join()).granted).toBe(true);
    expect((await next.join()).granted).toBe(false);
    await holder.release();
    const { fencingToken } = await next.granted;
    const believed = performance.now() + next.claim.claimTtl;
    await server.kill();
    await server.restart();
    expect((await row())['owner'], 'the hand-over was forgotten').toBe(holder.claim.owner);
    const grant = await eventually('another one has it', async () => {
      const answer = await other.ask();
      return answer.granted && answer;
    });
    expect(performance.now()).toBeGreaterThan(believed);
    expect(grant.fencingToken).toBeGreaterThan(fencingToken ?? Infinity);
  });

  it.each([
    ['', 0],
    [', also where the clock of the server went back by a minute', 60_000_000],
  ])(
    'a chain of hand-overs of which the last ones were forgotten is as safe, wherever it was cut%s',
    async (_, back) => {
      // The claim of the last one ends well before the lease of the first, also on a slow machine, and well after that of the third.
      const line = ['a', 'b', 'c', 'd'].map((name) => processOf(name, 10_000, name === 'd' ? 5_000 : 1_000));
      const other = processOf('other', 10_000);
      for (const each of line) await each.join();
      // A clock that went back leaves tokens that are ahead of it.
      await askPostgres(server.url, `update distributed_lock.locks set token = token + ${back}`);
      const [a, b, c, d] = line as [(typeof line)[0], (typeof line)[0], (typeof line)[0], (typeof line)[0]];
      await a.release();
      await b.granted;
      await b.release();
      await c.granted;
      // A commit elsewhere that waits for the disk takes all before it there.
      await askPostgres(server.url, 'create table elsewhere ()');
      await c.release();
      const { at = Infinity } = await d.granted;
      // It works on, and cannot be reached: otherwise it would be first in line again, and get its own lock once more.
      await d.vanish();
      await server.kill();
      await server.restart();
      expect((await row())['owner'], 'cut behind the second').toBe(c.claim.owner);
      const answer = await eventually('another one has it', async () => {
        const asked = await other.ask();
        return asked.granted && asked;
      });
      expect(answer.at, 'in time of the server').toBeGreaterThan(at + d.claim.claimTtl);
    },
  );

  it('a release that is repeated after it was forgotten does not free the lock of the successor', async () => {
    const [holder, next, other] = [
      processOf('holder', 30_000),
      processOf('next', 30_000, 3_000),
      processOf('other', 30_000),
    ];
    await holder.join();
    await next.join();
    holder.loseNextAnswer();
    await expect(holder.release()).rejects.toThrow(/lost/);
    await next.granted;
    const believed = performance.now() + next.claim.claimTtl;
    await server.kill();
    await server.restart();
    expect(await eventually('the release is repeated', async () => [await holder.release()])).toEqual([true]);
    await eventually('another one has it', async () => (await other.ask()).granted);
    expect(performance.now()).toBeGreaterThan(believed);
  });

  it('a hand-over waits for the disk where the lease on disk ends before the claim', async () => {
    const [holder, next] = [processOf('holder', 1_000, 5_000), processOf('next', 5_000, 5_000)];
    await holder.join();
    await next.join();
    await holder.release();
    await next.granted;
    await server.kill();
    await server.restart();
    expect((await row())['owner']).toBe(next.claim.owner);
  });

  it('a renewal is never forgotten, also where commits of the role are asynchronous', async () => {
    const holder = processOf('holder', 1_000, 1_000, '-c synchronous_commit=off');
    await holder.ask();
    expect(await holder.renew(60_000)).toEqual([true]);
    const { ends } = await row();
    await server.kill();
    await server.restart();
    expect(await row()).toMatchObject({ owner: holder.claim.owner, ends });
  });

  it('what was acquired is never forgotten, and a release that was only costs the rest of its lease', async () => {
    const [holder, next] = [processOf('holder', 1_500), processOf('next', 1_500)];
    const grant = await holder.ask();
    await holder.release();
    await server.kill();
    await server.restart();
    expect((await row())['owner']).toBe(holder.claim.owner);
    const answer = await eventually('the next one has it', async () => {
      const asked = await next.ask();
      return asked.granted && asked;
    });
    expect(grant.granted && answer.fencingToken).toBeGreaterThan((grant.granted && grant.fencingToken) || Infinity);
  });

  it('a clean restart forgets nothing and delays nobody', async () => {
    const [holder, next] = [processOf('holder', 30_000), processOf('next', 30_000)];
    await holder.ask();
    await holder.release();
    await next.ask();
    await next.release();
    await askPostgres(server.url, 'checkpoint');
    expect((await holder.ask()).granted).toBe(true);
  });
});

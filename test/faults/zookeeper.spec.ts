import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Claim } from '../../lib/backends/backend.js';
import * as requests from '../../lib/backends/zookeeper/client/requests.js';
import { zookeeper } from '../../lib/backends/zookeeper/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { below, withClient } from '../contract/zookeeper-fixture.js';
import { eventually } from '../servers/eventually.js';
import { startZooKeeper, type ZooKeeperServer } from '../servers/zookeeper.js';

const claimOf = (key: string, owner = `${key}-owner`, ttl = 2_000): Claim => ({
  key,
  owner,
  mode: 'exclusive',
  limit: 1,
  ttl,
  claimTtl: ttl,
});

// Each on keys of its own.
describe.concurrent('One ZooKeeper server', () => {
  let server: ZooKeeperServer;
  beforeAll(async () => {
    server = await startZooKeeper({ own: true });
  });
  afterAll(() => server?.stop());

  const backendBelow = (chroot: string) => {
    const backend = zookeeper({ connect: server.host, chroot }).forApplication!();
    if (backend.family !== 'session') throw new TypeError('ZooKeeper has sessions');
    return Object.assign(backend, { [Symbol.asyncDispose]: () => backend.close() });
  };

  it('is not kept believing in a holder that nobody renews: looking at its lock is no sign of its life', async () => {
    await using backend = backendBelow('/looked-at');
    const session = await backend.open(2_000);
    const claim = claimOf('looked at');
    expect(await backend.attempt(claim, session)).toMatchObject({ granted: true });
    expect((await backend.inspect(claim.key)).holders).toHaveLength(1);
    // Asked many times within each session.
    await eventually('it ends', async () => (await backend.inspect(claim.key)).holders.length === 0, { within: 6_000 });
  });

  it.each(['.', '..', 'zookeeper', 'a/b', '%2E', '/', 'ключ', '\u0000'])(
    'keeps the key %j, whatever it is',
    async (key) => {
      await using backend = backendBelow('/odd');
      const session = await backend.open(2_000);
      const [claim, other] = [claimOf(key), claimOf(key, 'another')];
      expect(await backend.attempt(claim, session)).toMatchObject({ granted: true });
      expect(await backend.attempt(other, session)).toMatchObject({ granted: false });
      const { keys } = await backend.list!({ prefix: key, limit: 10 });
      expect(keys.map((one) => one.key)).toContain(key);
      expect(await backend.release(claim, session)).toBe(true);
      await session.end();
    },
  );

  it('gives growing tokens to a key whose numbers begin again, because its empty node was removed', async () => {
    await using engine = Object.assign(new LockEngine(zookeeper({ connect: server.host, chroot: '/removed' })), {
      [Symbol.asyncDispose]: () => engine.close(0),
    });
    const first = await engine.acquire('again');
    await first.release();
    await withClient(server.host, (client) => client.ask(requests.remove('/removed/lock:again')));
    const next = await engine.acquire('again');
    const [path] = await withClient(server.host, (client) => below(client, '/removed/lock:again'));
    expect(path).toMatch(/0000000000$/);
    expect(next.fencingToken).toBeGreaterThan(first.fencingToken!);
    await next.release();
  });

  it('gives locks while the empty nodes of their keys are removed again and again', async () => {
    await using engine = Object.assign(new LockEngine(zookeeper({ connect: server.host, chroot: '/swept' })), {
      [Symbol.asyncDispose]: () => engine.close(0),
    });
    let over = false;
    const sweeping = withClient(server.host, async (client) => {
      let swept = 0;
      while (!over) {
        const removed = client.ask(requests.remove('/swept/lock:often'));
        // It is in use at the moment, or gone already.
        swept += await removed.then(
          () => 1,
          () => 0,
        );
      }
      return swept;
    });
    for (let turn = 0; turn < 50; turn++) expect(await (await engine.acquire('often')).release()).toBe(true);
    over = true;
    expect(await sweeping).toBeGreaterThan(0);
  });
});

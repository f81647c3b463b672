import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from 'node-zookeeper-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { zookeeper, type ZooKeeperOptions } from '../../lib/backends/zookeeper/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { newCertificate } from '../servers/consul.js';
import { freePort } from '../servers/free-port.js';
import { startZooKeeper, type ZooKeeperServer } from '../servers/zookeeper.js';

function engineOn(options: ZooKeeperOptions): LockEngine & AsyncDisposable {
  const engine = new LockEngine(zookeeper(options), { callTimeout: 5_000 });
  return Object.assign(engine, { [Symbol.asyncDispose]: () => engine.close(0) });
}

describe('A ZooKeeper with a secure port and logins', () => {
  let folder: string;
  let server: ZooKeeperServer;
  let secure: string;
  let ca: Buffer;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'certificate-'));
    const files = newCertificate(folder);
    ca = readFileSync(files.ca);
    const store = join(folder, 'store.p12');
    execFileSync('openssl', [
      ...['pkcs12', '-export', '-in', files.cert, '-inkey', files.key, '-out', store, '-passout', 'pass:secret'],
    ]);
    writeFileSync(join(folder, 'trust.pem'), ca);
    const port = await freePort();
    secure = `127.0.0.1:${port}`;
    server = await startZooKeeper({
      own: true,
      settings: {
        secureClientPort: port,
        secureClientPortAddress: '127.0.0.1',
        serverCnxnFactory: 'org.apache.zookeeper.server.NettyServerCnxnFactory',
        'ssl.keyStore.location': store,
        'ssl.keyStore.password': 'secret',
        'ssl.keyStore.type': 'PKCS12',
        'ssl.trustStore.location': join(folder, 'trust.pem'),
        'ssl.trustStore.type': 'PEM',
        'ssl.clientAuth': 'none',
      },
    });
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is spoken to by TLS, and not trusted without its certificate', async () => {
    await using engine = engineOn({ connect: `${secure}/secure`, tls: { ca, servername: 'localhost' } });
    await engine.ping();
    const lock = await engine.acquire('order', { ttl: '2s' });
    expect(await engine.tryAcquire('order', { ttl: '2s' })).toBe(null);
    expect(await lock.release()).toBe(true);
    await using stranger = engineOn({ connect: secure, tls: {} });
    await expect(stranger.ping()).rejects.toThrow(/certificate/);
  });

  it('gives nodes to the login that made them, below the chroot, and tells another one at boot', async () => {
    const auth = { username: 'shop', password: 'secret' };
    await using engine = engineOn({ connect: server.host, chroot: '/private', auth });
    await engine.ping();
    const lock = await engine.acquire('order', { ttl: '2s' });
    expect(await lock.release()).toBe(true);
    await using other = engineOn({ connect: `${server.host}/private`, auth: { ...auth, password: 'wrong' } });
    await expect(other.ping()).rejects.toThrow(/NoAuth .*this login may not do that/);
    await expect(other.acquire('order', { ttl: '2s', wait: '1s' })).rejects.toThrow(/NoAuth/);
  });

  it('goes by the servers, the chroot and the login of a client of node-zookeeper-client, which stays open', async () => {
    const client = createClient(`${server.host}/of-client`);
    client.addAuthInfo('digest', Buffer.from('shop:secret'));
    const connected = new Promise<void>((resolve) => client.once('connected', resolve));
    client.connect();
    await connected;
    const children = (path: string) =>
      new Promise<readonly string[]>((resolve, reject) =>
        client.getChildren(path, (error, names) => (error ? reject(error) : resolve(names))),
      );
    {
      await using engine = engineOn({ client });
      await engine.ping();
      const lock = await engine.acquire('order', { ttl: '2s' });
      expect(await children('/lock:order')).toHaveLength(1);
      const auth = { username: 'shop', password: 'secret' };
      await using same = engineOn({ connect: `${server.host}/of-client`, auth });
      expect(await same.tryAcquire('order', { ttl: '2s' })).toBe(null);
      await using stranger = engineOn({ connect: `${server.host}/of-client` });
      await expect(stranger.tryAcquire('order', { ttl: '2s' })).rejects.toThrow(/NoAuth/);
      expect(await lock.release()).toBe(true);
    }
    expect(await children('/lock:order')).toEqual([]);
    client.close();
  });
});

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { etcd } from '../../lib/backends/etcd/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockBackendError, LockConfigurationError } from '../../lib/lock/errors.js';
import { type EtcdServer, startEtcd } from '../servers/etcd.js';
import { eventually } from '../servers/eventually.js';
import { freePort } from '../servers/free-port.js';
import { ServerProcess } from '../servers/process.js';

/** Everything a lock does, with the rights that the backend has. */
async function exercise(engine: LockEngine, other: LockEngine): Promise<void> {
  await engine.ping();
  const lock = await engine.acquire('order', { ttl: '3s' });
  const waiting = other.acquire('order', { wait: '20s' });
  await eventually('it waits', async () => (await engine.inspect('order')).waiting === 1);
  expect(await lock.release()).toBe(true);
  const next = await waiting;
  expect(next.fencingToken).toBeGreaterThan(lock.fencingToken!);
  await next.release();
  const all = await engine.acquire(['a', 'b']);
  await all.release();
  const reader = await engine.acquire('file');
  await reader.downgrade();
  expect(await other.forceRelease('file')).toBe(true);
  await eventually('the reader is told', () => !reader.held, { within: 20_000 });
  await reader.release();
  await (await engine.acquire('kept', { minHold: 1_000 })).release();
}

describe('With user and password', () => {
  let server: EtcdServer;

  beforeAll(async () => {
    server = await startEtcd({ own: true });
    const open = new Etcd3({ hosts: server.host });
    // The least that locks need: one role on one prefix.
    await open.role('root').create();
    const role = await open.role('locks').create();
    await role.grant({ permission: 'Readwrite', range: open.range({ prefix: 'lock:' }) });
    await (await open.user('root').create('root')).addRole('root');
    await (await open.user('service').create('secret')).addRole('locks');
    await open.user('nobody').create('nothing');
    await open.auth.authEnable();
    open.close();
  });
  afterAll(async () => {
    await server?.stop();
  });

  const engineAs = (username: string, password: string): LockEngine =>
    new LockEngine(etcd({ hosts: server.host, auth: { username, password } }));

  it('a role that may read and write one prefix is enough for everything', async () => {
    const [engine, other] = [engineAs('service', 'secret'), engineAs('service', 'secret')];
    await exercise(engine, other);
    await Promise.all([engine.close(0), other.close(0)]);
  });

  it('a client that is handed in brings its user along, and stays open', async () => {
    const client = new Etcd3({ hosts: server.host, auth: { username: 'service', password: 'secret' } });
    const [engine, other] = [new LockEngine(etcd({ client })), engineAs('service', 'secret')];
    await exercise(engine, other);
    await Promise.all([engine.close(0), other.close(0)]);
    expect(await client.getAll().prefix('lock:nothing').keys()).toEqual([]);
    client.close();
  });

  it('a wrong password, no user, and a user without the role say so', async () => {
    const wishes = [
      [engineAs('service', 'wrong'), /authentication failed, invalid user ID or password/],
      [engineAs('nobody', 'nothing'), /permission denied/],
      [new LockEngine(etcd({ hosts: server.host })), /user name is empty/],
    ] as const;
    for (const [engine, words] of wishes) {
      const failure = await engine.acquire('order', { wait: 300 }).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(LockBackendError);
      expect((failure as LockBackendError).message).toMatch(words);
      await engine.close(0);
    }
  });

  it('a login that has run out is renewed, also for whoever waits', async () => {
    const [engine, other] = [engineAs('service', 'secret'), engineAs('service', 'secret')];
    const lock = await engine.acquire('long');
    const waiting = other.acquire('long', { wait: '25s' });
    await eventually('it waits', async () => (await engine.inspect('long')).waiting === 1);
    // It keeps its data, but no login.
    await server.restart();
    expect(await lock.release()).toBe(true);
    expect((await waiting).held).toBe(true);
    await (await waiting).release();
    const [again, next] = [await engine.acquire('long'), other.acquire('long', { wait: '25s' })];
    await eventually('it waits', async () => (await engine.inspect('long')).waiting === 1);
    await again.release();
    await (await next).release();
    await Promise.all([engine.close(0), other.close(0)]);
  });
});

describe('With TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lock-test-tls-'));
  const file = (name: string): string => join(folder, name);
  let server: ServerProcess;
  let port: number;

  beforeAll(async () => {
    const openssl = (...args: string[]): unknown => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
    openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=test ca',
      '-keyout',
      'ca.key',
      '-out',
      'ca.crt',
    );
    openssl(
      'req',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-subj',
      '/CN=localhost',
      '-addext',
      'subjectAltName=DNS:localhost,IP:127.0.0.1',
      '-keyout',
      'node.key',
      '-out',
      'node.csr',
    );
    openssl(
      'x509',
      '-req',
      '-in',
      'node.csr',
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-days',
      '2',
      '-copy_extensions',
      'copy',
      '-out',
      'node.crt',
    );
    port = await freePort();
    const peer = `http://127.0.0.1:${await freePort()}`;
    const url = `https://127.0.0.1:${port}`;
    server = await ServerProcess.start({
      name: 'etcd-tls',
      command: 'etcd',
      args: (dataDir) => [
        ...['--data-dir', dataDir, '--log-level', 'error', '--unsafe-no-fsync'],
        ...['--listen-client-urls', url, '--advertise-client-urls', url],
        ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`],
        ...['--cert-file', file('node.crt'), '--key-file', file('node.key')],
        ...['--trusted-ca-file', file('ca.crt'), '--client-cert-auth'],
      ],
      ready: async () => {
        const options = {
          ca: readFileSync(file('ca.crt')),
          cert: readFileSync(file('node.crt')),
          key: readFileSync(file('node.key')),
        };
        const [answer] = (await once(get(`${url}/health`, options), 'response')) as [IncomingMessage];
        answer.resume();
        return answer.statusCode === 200;
      },
    });
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('and certificates of both sides, everything works; without them nothing does', async () => {
    const tls = {
      ca: readFileSync(file('ca.crt')),
      cert: readFileSync(file('node.crt'), 'utf8'),
      key: readFileSync(file('node.key')),
    };
    const hosts = [`localhost:${port}`];
    const [engine, other] = [
      new LockEngine(etcd({ hosts, tls })),
      new LockEngine(etcd({ hosts: `https://127.0.0.1:${port}`, tls })),
    ];
    await exercise(engine, other);
    await Promise.all([engine.close(0), other.close(0)]);

    const strangers = [
      [etcd({ hosts }), /No connection established/],
      [etcd({ hosts, tls: {} }), /unable to verify the first certificate|self-signed certificate/],
      [etcd({ hosts, tls: { ca: tls.ca } }), /bad certificate|certificate required/],
      [etcd({ hosts, tls: { ca: tls.ca, cert: tls.cert } }), /Certificate chain must be given with .* private key/],
    ] as const;
    for (const [stranger, words] of strangers) {
      const engine = new LockEngine(stranger);
      const failure = await engine.acquire('order', { wait: 300 }).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(LockBackendError);
      expect((failure as LockBackendError).message).toMatch(words);
      await engine.close(0);
    }
  });
});

describe('Options that can never work', () => {
  it.each([
    ['no members', { hosts: [] }, /needs the addresses of the members/],
    ['nothing at all', {}, /needs the addresses of the members/],
    ['an empty name', { hosts: [''] }, /"" is none/],
    ['a blank after a comma', { hosts: 'etcd-1:2379, etcd-2:2379'.split(',') }, /" etcd-2:2379" is none/],
    ['a URL with a path', { hosts: 'http://etcd-1:2379/' }, /"http:\/\/etcd-1:2379\/" is none/],
    ['a client of something else', { client: {} }, /needs an etcd3 client/],
    [
      'no duration',
      { hosts: 'etcd-1:2379', memberTimeout: 'soon' },
      /`memberTimeout` is "soon", which is not a duration/,
    ],
  ])('%s is refused before anything is asked', (_, options, words) => {
    expect(() => etcd(options as Parameters<typeof etcd>[0])).toThrow(LockConfigurationError);
    expect(() => etcd(options as Parameters<typeof etcd>[0])).toThrow(words);
  });

  it('a namespace of a client is refused, and the addresses that gRPC knows are not', () => {
    const client = new Etcd3({ hosts: '127.0.0.1:2379' });
    expect(() => etcd({ client: client.namespace('app/') as unknown as Etcd3 })).toThrow(/Hand in the client itself/);
    client.close();
    for (const hosts of ['https://etcd-1:2379', '[::1]:2379', 'dns:///etcd.local:2379', 'unix:/run/etcd.sock']) {
      expect(etcd({ hosts }).kind).toBe('etcd');
    }
  });
});

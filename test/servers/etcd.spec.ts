import { Etcd3 } from 'etcd3';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { eventually } from './eventually.js';
import { type EtcdServer, startEtcd, startEtcdCluster } from './etcd.js';
import { isRunning } from './process.js';

const put = (server: EtcdServer, key: string, value: string) =>
  call(server, 'put', { key: btoa(key), value: btoa(value) });

async function get(server: EtcdServer, key: string): Promise<string | undefined> {
  const { kvs } = (await call(server, 'range', { key: btoa(key) })) as { kvs?: { value: string }[] };
  return kvs?.[0] && atob(kvs[0].value);
}

async function call(server: EtcdServer, method: string, body: object): Promise<unknown> {
  const response = await fetch(`${server.url}/v3/kv/${method}`, {
    method: 'POST',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(700),
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return response.json();
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('An etcd of a test', () => {
  it('pauses, resumes, and keeps or forgets its data across a kill', async () => {
    await using etcd = await startEtcd({ own: true });
    await put(etcd, 'word', 'kept');

    etcd.pause();
    await expect(get(etcd, 'word')).rejects.toThrow(/timeout/i);
    etcd.resume();
    expect(await get(etcd, 'word')).toBe('kept');

    await etcd.kill();
    await expect(get(etcd, 'word')).rejects.toThrow();
    await etcd.restart();
    expect(await get(etcd, 'word')).toBe('kept');

    await etcd.restart({ keepData: false });
    expect(await get(etcd, 'word')).toBe(undefined);
  });

  it('is reached by etcd3 and leaves nothing when it is stopped', async () => {
    const etcd = await startEtcd({ own: true });
    const client = new Etcd3({ hosts: etcd.url });
    await client.put('key').value('value');
    expect(await client.get('key').string()).toBe('value');
    client.close();
    const { pid } = etcd;
    await etcd.stop();
    expect(isRunning(pid)).toBe(false);
  });

  it('may be one that ETCD_HOSTS names, which is then not ours to control', async () => {
    vi.stubEnv('ETCD_HOSTS', 'http://127.0.0.1:2379, http://127.0.0.1:2380');
    const named = await startEtcd();
    expect(named).toMatchObject({ url: 'http://127.0.0.1:2379', host: '127.0.0.1:2379' });
    await expect(named.kill()).rejects.toThrow(/ETCD_HOSTS names a server that is not ours/);
  });
});

describe('An etcd cluster of a test', () => {
  it('finds a new leader when its leader is killed, and takes the old one back', async () => {
    await using cluster = await startEtcdCluster();
    const first = await cluster.leader();
    await put(first, 'word', 'kept');

    await first.kill();
    const second = await cluster.leader();
    expect(second).not.toBe(first);
    expect(await get(second, 'word')).toBe('kept');

    await first.restart();
    expect(await eventually('the old leader answers', () => get(first, 'word'))).toBe('kept');
  });

  it('finds a new leader when its leader is frozen', async () => {
    await using cluster = await startEtcdCluster();
    const first = await cluster.leader();
    first.pause();
    expect(await cluster.leader()).not.toBe(first);
    first.resume();
  });
});

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ask, type ConsulServer, newCertificate, startConsul, startConsulCluster } from './consul.js';
import { eventually } from './eventually.js';
import { isRunning } from './process.js';

const put = ({ url }: ConsulServer, key: string, body: string) => ask(url, 'PUT', `/v1/kv/${key}`, { body });

async function get({ url }: ConsulServer, key: string): Promise<string> {
  const [entry] = (await ask(url, 'GET', `/v1/kv/${key}`)) as { Value: string }[];
  return atob(entry?.Value ?? '');
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('A Consul server of a test', () => {
  it('pauses, resumes, and keeps or forgets its data across a kill', async () => {
    await using consul = await startConsul({ own: true });
    await put(consul, 'word', 'kept');

    consul.pause();
    await expect(get(consul, 'word')).rejects.toThrow(/timeout/i);
    consul.resume();
    expect(await get(consul, 'word')).toBe('kept');

    await consul.restart();
    expect(await get(consul, 'word')).toBe('kept');

    await consul.restart({ keepData: false });
    await expect(get(consul, 'word')).rejects.toThrow('404');
  });

  it('is reached by the official command line and leaves nothing when it is stopped', async () => {
    const consul = await startConsul({ own: true });
    const kv = (...args: string[]) =>
      execFileSync('consul', ['kv', ...args], {
        encoding: 'utf8',
        env: { ...process.env, CONSUL_HTTP_ADDR: consul.url },
      });
    kv('put', 'word', 'kept');
    expect(kv('get', 'word').trim()).toBe('kept');
    const { pid } = consul;
    await consul.stop();
    expect(isRunning(pid)).toBe(false);
  });

  it('asks for tokens and speaks TLS, if the test wants that', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'certificate-'));
    const tls = newCertificate(folder);
    await using consul = await startConsul({ own: true, master: 'master-token', tls });
    expect(consul.url).toMatch(/^https:/);
    await expect(ask(consul.url, 'PUT', '/v1/kv/word', { tls, body: 'kept' })).rejects.toThrow('403');
    expect(await ask(consul.url, 'PUT', '/v1/kv/word', { tls, master: 'master-token', body: 'kept' })).toBe(true);
    rmSync(folder, { recursive: true });
  });

  it('may be one that CONSUL_HTTP_ADDR names, which is then not ours to control', async () => {
    vi.stubEnv('CONSUL_HTTP_ADDR', '127.0.0.1:8500');
    const named = await startConsul();
    expect(named).toMatchObject({ url: 'http://127.0.0.1:8500', host: '127.0.0.1:8500' });
    await expect(named.kill()).rejects.toThrow(/CONSUL_HTTP_ADDR names a server that is not ours/);
  });
});

describe('A Consul cluster of a test', () => {
  it('finds a new leader when its leader is killed, and takes the old one back', async () => {
    await using cluster = await startConsulCluster();
    const first = await cluster.leader();
    await put(first, 'word', 'kept');

    await first.kill();
    const second = await cluster.leader();
    expect(second).not.toBe(first);
    expect(await get(second, 'word')).toBe('kept');

    await first.restart();
    expect(await eventually('the old leader answers', () => get(first, 'word'))).toBe('kept');
  });
});

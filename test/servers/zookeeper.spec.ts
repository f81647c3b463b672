import { afterEach, describe, expect, it, vi } from 'vitest';
import { eventually } from './eventually.js';
import { isRunning } from './process.js';
import { fourLetters, startZooKeeper, startZooKeeperEnsemble } from './zookeeper.js';

afterEach(() => {
  vi.unstubAllEnvs();
});

const mode = async (host: string): Promise<string | undefined> =>
  /^Mode: (\w+)/m.exec(await fourLetters(host, 'srvr'))?.[1];

describe('A ZooKeeper of a test', () => {
  it('pauses, resumes, and comes back after a kill', async () => {
    await using server = await startZooKeeper({ own: true });
    expect(await mode(server.host)).toBe('standalone');

    server.pause();
    await expect(mode(server.host)).rejects.toThrow(/no answer/);
    server.resume();
    expect(await mode(server.host)).toBe('standalone');

    await server.kill();
    await expect(mode(server.host)).rejects.toThrow();
    await server.restart();
    expect(await mode(server.host)).toBe('standalone');
  });

  it('leaves nothing when it is stopped', async () => {
    const server = await startZooKeeper({ own: true });
    const { pid } = server;
    await server.stop();
    expect(isRunning(pid)).toBe(false);
  });

  it('may be one that ZOOKEEPER_HOSTS names, which is then not ours to control', async () => {
    vi.stubEnv('ZOOKEEPER_HOSTS', '127.0.0.1:2181, 127.0.0.1:2182');
    const named = await startZooKeeper();
    expect(named).toMatchObject({ host: '127.0.0.1:2181' });
    await expect(named.kill()).rejects.toThrow(/ZOOKEEPER_HOSTS names a server that is not ours/);
  });
});

describe('A ZooKeeper ensemble of a test', () => {
  it('finds a new leader when its leader is killed, and takes the old one back', async () => {
    await using ensemble = await startZooKeeperEnsemble();
    const first = await ensemble.leader();

    await first.kill();
    const second = await ensemble.leader();
    expect(second).not.toBe(first);

    await first.restart();
    expect(await eventually('the old leader follows', () => mode(first.host))).toBe('follower');
  });
});

import { existsSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { isRunning } from './process.js';
import { askRedis, type RedisServer, startRedis, startRedisProcess } from './redis.js';

describe('A Redis of a test', () => {
  let redis: RedisServer;
  const ask = (command: string, ...args: string[]) => askRedis(redis.port, command, ...args);

  beforeEach(async () => {
    redis = await startRedis({ own: true });
  });
  afterEach(async () => {
    await redis.stop();
    vi.unstubAllEnvs();
  });

  it('answers at once', async () => {
    expect(await ask('PING')).toBe('PONG');
    expect(redis.url).toBe(`redis://127.0.0.1:${redis.port}`);
  });

  it('answers nothing while it is paused, and everything after', async () => {
    redis.pause();
    await expect(ask('PING')).rejects.toThrow(/timed out|closed/);
    redis.resume();
    expect(await ask('PING')).toBe('PONG');
  });

  it('keeps its data across a kill and a restart, or forgets it when told to', async () => {
    await ask('SET', 'word', 'kept');
    await redis.kill();
    await expect(ask('PING')).rejects.toThrow();
    await redis.restart();
    expect(await ask('GET', 'word')).toBe('kept');
    await redis.restart({ keepData: false });
    expect(await ask('GET', 'word')).toBe(null);
  });

  it('takes more arguments', async () => {
    await using small = await startRedis({ own: true, args: ['--maxmemory', '2mb'] });
    expect(await askRedis(small.port, 'CONFIG', 'GET', 'maxmemory')).toEqual(['maxmemory', '2097152']);
  });

  it('leaves neither process nor folder when it is stopped, paused or not', async () => {
    for (const paused of [false, true]) {
      const server = await startRedisProcess('redis', []);
      const { pid, dataDir } = server;
      expect([isRunning(pid), existsSync(dataDir)]).toEqual([true, true]);
      if (paused) server.pause();
      await server.stop();
      expect([isRunning(pid), existsSync(dataDir)]).toEqual([false, false]);
    }
  });

  it('may be one that REDIS_URL names, which is then not ours to control', async () => {
    vi.stubEnv('REDIS_URL', redis.url);
    const named = await startRedis();
    expect(named).toMatchObject({ url: redis.url, port: redis.port });
    await expect(named.kill()).rejects.toThrow(/REDIS_URL names a server that is not ours/);
    await named.stop();
    expect(await ask('PING')).toBe('PONG');
  });
});

import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { redis } from '../../lib/backends/redis/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { DistributedLockModule } from '../../lib/index.js';
import { eventually } from '../servers/eventually.js';
import { bulk, type FakeRedis, type Saying, startFakeRedis } from '../servers/fake-redis.js';
import { startRedis } from '../servers/redis.js';
import { inLine } from './support/in-pod.js';

/** What clients ask when they connect, as an idle server of that version answers. */
const greeting =
  (version: string): Saying =>
  ([command, section]) => {
    if (command === 'PING') return '+PONG\r\n';
    if (command === 'INFO') return bulk(section === 'memory' ? '' : `# Server\r\nredis_version:${version}\r\n`);
    if (command === 'HELLO') return '-ERR unknown command `HELLO`\r\n';
    if (command === 'CLIENT' || command === 'SELECT') return '+OK\r\n';
    return undefined;
  };

const boot = (options: Parameters<typeof redis>[0], warnings: string[] = []) => {
  @Module({ imports: [DistributedLockModule.forRoot({ backend: redis(options) })] })
  class AppModule {}
  const logger = { log() {}, error() {}, warn: (text: string) => warnings.push(text) };
  return NestFactory.createApplicationContext(AppModule, { logger, abortOnError: false });
};

describe('A server that is not as it should be', () => {
  const stops: (() => unknown)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  });
  const fake = async (say: Saying): Promise<FakeRedis> => {
    const server = await startFakeRedis(say);
    stops.push(() => server.stop());
    return server;
  };
  const open = (options: Parameters<typeof redis>[0]): LockEngine => {
    const engine = new LockEngine(redis(options));
    stops.push(() => engine.close(0));
    return engine;
  };
  const real = async (...args: string[]) => {
    const server = await startRedis({ own: true, args: ['--appendonly', 'no', ...args] });
    stops.push(() => server.stop());
    const admin = new Redis(server.url).on('error', () => undefined);
    stops.push(() => admin.disconnect());
    return { server, admin };
  };

  it.each(['6.0.16', '5.0.14'])(
    'is refused at boot, because it could never renew what several hold: Redis %s',
    async (version) => {
      const { url } = await fake(greeting(version));
      await expect(boot({ url })).rejects.toThrow(
        `the server is Redis ${version.slice(0, 3)}, which cannot renew shared locks and semaphores. Use Redis 6.2 or later, or Valkey`,
      );
    },
  );

  it.each(['allkeys-lru', 'volatile-ttl'])(
    'is warned of at boot, because it evicts locks that are held: %s',
    async (policy) => {
      const { server } = await real('--maxmemory-policy', policy);
      const warnings: string[] = [];
      const application = await boot({ url: server.url }, warnings);
      await application.close();
      expect(warnings.join()).toContain(`\`maxmemory-policy ${policy}\``);
    },
  );

  it('is none to warn of with `noeviction`', async () => {
    const { server } = await real();
    const warnings: string[] = [];
    await (await boot({ url: server.url }, warnings)).close();
    expect(warnings).toEqual([]);
  });

  it('is left when it was demoted, also in the words of Redis 6', async () => {
    const demoted =
      "-ERR Error running script (call to f_3fb): @user_script:12: @user_script: 12: -READONLY You can't write against a read only replica.\r\n";
    const greet = greeting('6.2.6');
    // The endpoint leads to another server by the time of the second connection.
    const server = await fake((words, connection) => {
      if (words[0]?.startsWith('EVAL')) return connection === 1 ? demoted : `:${Date.now()}000\r\n`;
      return greet(words, connection);
    });
    const engine = open({ url: server.url });
    await expect(engine.tryAcquire('k')).rejects.toThrow('READONLY');
    await eventually('a connection to the new primary', () => engine.tryAcquire('k').catch(() => false), {
      within: 2_000,
    });
  });

  it('that takes no more clients says so to who has to wait, and soon', async () => {
    const { server, admin } = await real();
    const [holder, waiter] = [open({ url: server.url }), open({ url: server.url })];
    await waiter.ping();
    const held = await holder.acquire('k');
    await admin.config('SET', 'maxclients', 3);
    const before = performance.now();
    await expect(waiter.acquire('k', { wait: '3s' })).rejects.toThrow('max number of clients reached');
    expect(performance.now() - before).toBeLessThan(5_000);
    await admin.config('SET', 'maxclients', 100);
    const turn = waiter.acquire('k', { wait: '20s' });
    await inLine(holder, 'k', 1);
    await held.release();
    await (await turn).release();
  });

  it.each(['commands', 'waiting', 'replicas'] as const)('has another password by now: for %s', async (what) => {
    const { server, admin } = await real();
    const allow = (password: string) =>
      admin.call('ACL', 'SETUSER', 'app', 'on', 'resetpass', `>${password}`, '~*', '&*', '+@all');
    await allow('first');
    const client = new Redis({ host: server.host, port: server.port, username: 'app', password: 'first' });
    client.on('error', () => undefined);
    stops.push(() => client.disconnect());
    let password = 'first';
    // As users of ioredis do where tokens expire.
    client.on('close', () => (client.options.password = password));
    const engine = open({ client, ...(what === 'replicas' && { waitReplicas: 1, waitReplicasTimeout: 50 }) });
    const other = open({ url: server.url });
    const handOver = async (): Promise<void> => {
      const held = await other.acquire('k', { wait: '10s' });
      const turn = engine.acquire('k', { wait: '10s' });
      await inLine(other, 'k', 1);
      await held.release();
      await (await turn).release();
    };
    const ask = what === 'commands' ? () => engine.withLock('free', () => undefined) : handOver;
    const noReplica = (error: Error) => expect(error.message).toContain('replica');
    const asked = what === 'replicas' ? () => engine.tryAcquire('k').catch(noReplica) : ask;
    await asked();
    password = 'second';
    await allow(password);
    await admin.call('CLIENT', 'KILL', 'USER', 'app');
    await eventually('it works with the new password', () => asked().then(() => true), { within: 5_000 });
  });
});

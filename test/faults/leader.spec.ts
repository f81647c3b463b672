import { once } from 'node:events';
import { Test } from '@nestjs/testing';
import { DistributedLockModule, type Leadership, LockLostError, LockService } from 'nestjs-distributed-lock';
import { redis } from 'nestjs-distributed-lock/redis';
import { filter, firstValueFrom } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { RecordingLogger } from '../nest/support/application.js';
import { type RedisServer, startRedis } from '../servers/redis.js';
import { startPods } from './support/pod.js';
import { acquireIn } from './support/in-pod.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis({ own: true });
});
afterAll(() => server.stop());

/** One pod of a service, which stands for that office. */
async function pod(name: string, ttl: number) {
  const module = await Test.createTestingModule({
    imports: [DistributedLockModule.forRoot({ backend: redis({ url: server.url }) })],
  })
    .setLogger(new RecordingLogger())
    .compile();
  onTestFinished(() => module.close());
  await module.init();
  const locks = module.get(LockService);
  return { module, locks, election: locks.leader(name, { ttl }) };
}

type Pod = Awaited<ReturnType<typeof pod>>;

async function term({ election }: Pod): Promise<Leadership> {
  const leadership = await firstValueFrom(election.leader$.pipe(filter((present) => present !== null)));
  if (leadership === null) throw new Error('filtered out above');
  return leadership;
}

const inLine = ({ locks }: Pod) => firstValueFrom(locks.events$.pipe(filter(({ type }) => type === 'waiting')));

describe('leaders on a real Redis', () => {
  it('are one at a time, handed over at once by app.close(), with tokens that grow', async () => {
    const pods = [await pod('shift', 60_000)];
    const tokens = [(await term(pods[0]!)).fencingToken ?? 0n];
    for (let at = 1; at < 4; at += 1) {
      const next = await pod('shift', 60_000);
      await inLine(next);
      pods.push(next);
    }
    for (const [at, next] of pods.slice(1).entries()) {
      expect(pods.map(({ election }) => election.isLeader)).toEqual(pods.map((_, index) => index === at));
      const closedAt = performance.now();
      void pods[at]!.module.close();
      tokens.push((await term(next)).fencingToken ?? 0n);
      // The lease is a minute; a push is a few milliseconds.
      expect(performance.now() - closedAt).toBeLessThan(1_000);
    }
    expect(tokens).toEqual([...new Set(tokens)].toSorted((a, b) => (a < b ? -1 : 1)));
  });

  it('know that they lead no more before the lease of one that is cut off can end, and stand again', async () => {
    const first = await pod('cut-off', 1_500);
    const { signal, fencingToken } = await term(first);
    const renewed = performance.now();
    const ended = firstValueFrom(first.election.leader$.pipe(filter((present) => present === null)));
    server.pause();
    await ended;
    // The last renewal was no later than the pause, and the server keeps the lock for the whole lease from there.
    expect(performance.now() - renewed).toBeLessThan(1_500);
    expect(first.election.isLeader).toBe(false);
    expect(signal.reason).toBeInstanceOf(LockLostError);

    server.resume();
    expect((await term(first)).fencingToken).toBeGreaterThan(fencingToken ?? 0n);
  });

  it('are followed within their lease and a second when their process is killed', async () => {
    const ttl = 1_000;
    await using pods = await startPods(1, { url: server.url });
    const killed = await acquireIn(pods[0]!, 'leader:killed', { ttl });
    const next = await pod('killed', ttl);
    await inLine(next);
    const killedAt = performance.now();
    await pods[0]!.kill();
    expect((await term(next)).fencingToken).toBeGreaterThan(killed.token);
    expect(performance.now() - killedAt).toBeLessThan(ttl + 1_000);
  });

  it('are told when an operator takes their office away, and the next one leads', async () => {
    const first = await pod('taken', 1_500);
    const { fencingToken, signal } = await term(first);
    const next = await pod('taken', 1_500);
    await inLine(next);
    const told = once(signal, 'abort');
    await next.locks.forceRelease('leader:taken');
    expect((await term(next)).fencingToken).toBeGreaterThan(fencingToken ?? 0n);
    await told;
    expect(first.election.isLeader).toBe(false);
  });
});

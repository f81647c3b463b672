import { describe, expect, it, vi } from 'vitest';
import type { Claim, Waiter } from '../../lib/backends/backend.js';
import type { RedisLink } from '../../lib/backends/redis/link.js';
import { RedisBackend } from '../../lib/backends/redis/redis.js';
import { protocol } from '../../lib/backends/redis/protocol/index.js';

const COUNTER_TTL = 600_000;
const { attempt, confirm, release } = protocol(COUNTER_TTL);

/** A link to a server where every key is busy, and a subscription that a test takes down and up. */
function busyServer() {
  const channels: { readonly name: string; readonly say: (message: string) => void; readonly up: () => void }[] = [];
  const server: { run: RedisLink['run'] } = {
    run: async (script) => (script.sha === release.sha ? [0, 1_000_000] : [0, 5_000, 1_000_000, 'somebody:1']),
  };
  const link: RedisLink = {
    run: (script, keys, args) => server.run(script, keys, args),
    onReplicas: () => link.run,
    call: async () => 'PONG',
    listen(name, { message: say, up }) {
      channels.push({ name, say, up });
      up();
      return { renew() {}, close() {} };
    },
    close: async () => {},
  };
  return { channels, link, server, backend: new RedisBackend(link, COUNTER_TTL) };
}

const claim = (owner: string): Claim => ({
  key: 'key',
  owner,
  mode: 'exclusive',
  limit: 1,
  ttl: 10_000,
  claimTtl: 3_000,
});

function waiterSpy() {
  return { granted: vi.fn<Waiter['granted']>(), look: vi.fn<Waiter['look']>() };
}

describe('the inbox of a process', () => {
  it('is one channel, however many wait, and pushes reach whom they name', async () => {
    const { backend, channels } = busyServer();
    const [one, other] = [waiterSpy(), waiterSpy()];
    await backend.attempt(claim('pod:1'), one);
    await backend.attempt(claim('pod:2'), other);
    expect(channels).toHaveLength(1);
    channels[0]?.say('g pod:2 7 2000000');
    expect(other.granted).toHaveBeenCalledExactlyOnceWith({ granted: true, fencingToken: 7n, at: 2_000 });
    expect(one.granted).not.toHaveBeenCalled();
  });

  it('has everybody who waits look when it stands again after a break, for what was pushed meanwhile is lost', async () => {
    const { backend, channels } = busyServer();
    const waiters = [waiterSpy(), waiterSpy(), waiterSpy()];
    for (const [i, waiter] of waiters.entries()) await backend.attempt(claim(`pod:${i}`), waiter);
    await backend.release(claim('pod:1'));
    for (const { look } of waiters) look.mockClear();
    channels[0]?.up();
    await Promise.resolve();
    expect(waiters.map(({ look }) => look.mock.calls.length)).toEqual([1, 0, 1]);
  });

  it('tells whose lock was taken away, and lets who is told to look do so', async () => {
    const { backend, channels } = busyServer();
    const lost = vi.fn<(owner: string) => void>();
    const waiter = waiterSpy();
    const stop = backend.onLost(lost);
    await backend.attempt(claim('pod:1'), waiter);
    waiter.look.mockClear();
    channels[0]?.say('l pod:1');
    expect(waiter.look).toHaveBeenCalledTimes(1);
    channels[0]?.say('x pod:9');
    expect(lost).toHaveBeenCalledExactlyOnceWith('pod:9');
    stop();
    channels[0]?.say('x pod:9');
    expect(lost).toHaveBeenCalledTimes(1);
  });

  it('has who waits for a key look when an answer for it was lost, which may have brought its grant: all but the asker', async () => {
    const { backend, server } = busyServer();
    const [one, other] = [waiterSpy(), waiterSpy()];
    await backend.attempt(claim('pod:1'), one);
    await backend.attempt(claim('pod:2'), other);
    for (const { look } of [one, other]) look.mockClear();
    server.run = () => Promise.reject(new Error('Connection is closed.'));
    await expect(backend.attempt(claim('pod:2'), other)).rejects.toThrow('closed');
    await new Promise(process.nextTick);
    expect([one.look, other.look].map(({ mock }) => mock.calls.length)).toEqual([1, 0]);
  });

  it('puts nobody in line who gave up before it stood', async () => {
    const { backend, channels, link, server } = busyServer();
    const joins = vi.fn<(what: unknown) => void>();
    const { run } = server;
    server.run = (script, keys, args) => {
      if (script.sha === attempt.sha) joins(String(args[2]).endsWith(' 1'));
      return run(script, keys, args);
    };
    link.listen = (name, { message: say, up }) => {
      channels.push({ name, say, up });
      return { renew() {}, close() {} };
    };
    const answer = backend.attempt(claim('pod:1'), waiterSpy());
    await expect.poll(() => channels.length).toBe(1);
    await backend.release(claim('pod:1'));
    channels[0]?.up();
    expect(await answer).toMatchObject({ granted: false });
    expect(joins.mock.calls).toEqual([[false]]);
  });

  it('passes on a grant only if it counts, where replicas have to have it', async () => {
    const { link, channels } = busyServer();
    let counts = 0;
    const onReplicas: RedisLink['run'] = async (script, keys, args) =>
      script.sha === confirm.sha ? [counts] : link.run(script, keys, args);
    const backend = new RedisBackend({ ...link, onReplicas: () => onReplicas }, COUNTER_TTL, {
      replicas: { count: 1, timeoutMs: 50 },
    });
    const waiter = waiterSpy();
    await backend.attempt(claim('pod:1'), waiter);
    waiter.look.mockClear();
    channels[0]?.say('g pod:1 7 2000000');
    await expect.poll(() => waiter.look.mock.calls.length).toBe(1);
    expect(waiter.granted).not.toHaveBeenCalled();
    counts = 1;
    channels[0]?.say('g pod:1 7 2000000');
    await expect.poll(() => waiter.granted.mock.calls.length).toBe(1);
  });
});

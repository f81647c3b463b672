import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import type { Etcd } from '../../lib/backends/etcd/client.js';
import { AT_ONCE, type Members, membersOf as cluster } from '../../lib/backends/etcd/members.js';

const unavailable = new Error('14 UNAVAILABLE: No connection established');
const tooLate = new Error('4 DEADLINE_EXCEEDED: Deadline exceeded');

/** Members of which only their names matter. */
const membersOf = (...hosts: readonly string[]): Members =>
  cluster(hosts, async (host) => ({ host, close: () => undefined }) as unknown as Etcd, 1_000);

const hostOf = (member: Etcd): string => String(Reflect.get(member, 'host'));

describe('the members of an etcd cluster', () => {
  it('are asked one after another until one answers, and that one is asked from then on', async () => {
    const members = membersOf('a', 'b', 'c');
    const asked: string[] = [];
    const ask = (): Promise<string> =>
      members.call(async (member) => {
        asked.push(hostOf(member));
        if (hostOf(member) !== 'b') throw unavailable;
        return hostOf(member);
      });
    expect(await ask()).toBe('b');
    expect(new Set(asked).size).toBe(asked.length);
    asked.length = 0;
    expect(await ask()).toBe('b');
    expect(asked).toEqual(['b']);
  });

  it('keep what all locks depend on out of the queue', async () => {
    const members = membersOf('a');
    for (let i = 0; i < AT_ONCE + 10; i++) members.call(() => new Promise(() => undefined)).catch(() => undefined);
    const renewed = vi.fn<() => void>();
    void members.call(async () => renewed(), { urgent: true });
    await turn();
    expect(renewed).toHaveBeenCalledTimes(1);
  });

  it('that do not answer are not waited for by the whole queue, one after another', async () => {
    const members = membersOf('a');
    let fail: () => void = () => undefined;
    const first = members.call(() => new Promise((_, reject) => (fail = () => reject(unavailable))));
    for (let i = 1; i < AT_ONCE; i++) members.call(() => new Promise(() => undefined)).catch(() => undefined);
    const sent = vi.fn<() => Promise<void>>(async () => undefined);
    const queued = members.call(sent);
    await turn();
    fail();
    await expect(first).rejects.toThrow('UNAVAILABLE');
    await expect(queued).rejects.toThrow('no member answers');
    expect(sent).not.toHaveBeenCalled();
  });

  it('get a new connection once one has answered nobody for so long, and the old one is closed', async () => {
    const closed: number[] = [];
    let made = 0;
    const members = cluster(
      ['a'],
      async () => {
        const number = ++made;
        return { number, close: () => closed.push(number) } as unknown as Etcd;
      },
      1_000,
    );
    const numberOf = (member: Etcd): unknown => Reflect.get(member, 'number');
    let answer: () => void = () => undefined;
    const answered = new Promise<void>((resolve) => (answer = resolve));
    const late = members.call((member) => answered.then(() => numberOf(member)));
    await expect(members.call(() => Promise.reject(tooLate))).rejects.toThrow('DEADLINE');
    expect(await members.call(async (member) => numberOf(member))).toBe(2);
    // It may still answer the other one.
    expect(closed).toEqual([]);
    answer();
    expect(await late).toBe(1);
    await turn();
    expect(closed).toEqual([1]);
  });

  it('keep a connection on which others are answered, though one question was not', async () => {
    let made = 0;
    const members = cluster(['a'], async () => ({ number: ++made, close: () => undefined }) as unknown as Etcd, 1_000);
    let fail: () => void = () => undefined;
    const late = members.call(() => new Promise<never>((_, reject) => (fail = () => reject(tooLate))));
    await turn();
    await members.call(async () => 'answered');
    fail();
    await expect(late).rejects.toThrow('DEADLINE');
    await members.call(async () => 'answered');
    expect(made).toBe(1);
  });

  it('are not left for a question on whose answer nothing depends', async () => {
    const members = membersOf('a', 'b');
    const { current } = members.servers;
    const late = vi.fn<() => Promise<never>>().mockRejectedValue(tooLate);
    await expect(members.call(late, { optional: true })).rejects.toThrow('DEADLINE');
    expect(late).toHaveBeenCalledTimes(1);
    expect(members.servers.current).toBe(current);
    await expect(members.call(late)).rejects.toThrow('DEADLINE');
  });

  it.each([
    ['a member that is not there', unavailable.message, 2],
    ['one that is late', tooLate.message, 2],
    ['a missing right', '7 PERMISSION_DENIED: etcdserver: permission denied', 1],
    ['an answer that is too long for this client', '8 RESOURCE_EXHAUSTED: Received message larger than max', 1],
  ])('hear a question once more only if another member could answer it: %s', async (_, message, times) => {
    const ask = vi.fn<() => Promise<never>>().mockRejectedValue(new Error(message));
    await expect(membersOf('a', 'b').call(ask)).rejects.toThrow(message);
    expect(ask).toHaveBeenCalledTimes(times);
  });
});

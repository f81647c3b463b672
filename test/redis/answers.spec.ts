import { describe, expect, it } from 'vitest';
import type { RedisLink } from '../../lib/backends/redis/link.js';
import { RedisBackend } from '../../lib/backends/redis/redis.js';

const claim = { key: 'key', owner: 'pod:1', mode: 'exclusive', limit: 1, ttl: 10_000, claimTtl: 3_000 } as const;

function answering(answer: unknown): RedisBackend {
  const link: RedisLink = {
    run: async () => answer,
    onReplicas: () => link.run,
    call: async () => 'PONG',
    listen: () => ({ renew() {}, close() {} }),
    close: async () => {},
  };
  return new RedisBackend(link, 600_000);
}

describe('an answer to an attempt on Redis', () => {
  it.each([
    ['a number', 1_700_000_000_000_000],
    ['a number as a client gives it that is told to (`stringNumbers`)', '1700000000000000'],
    ['a list', [1, 1_700_000_000_000_000, 1_700_000_000_000_000]],
  ])('that is a token, as %s, is a grant', async (_, answer) => {
    expect(await answering(answer).attempt(claim)).toMatchObject({
      granted: true,
      fencingToken: 1_700_000_000_000_000n,
    });
  });

  it.each([['OK'], [null], [''], [true], ['12 or so']])(
    'that no script of ours gives, as %j, is none',
    async (answer) => {
      await expect(answering(answer).attempt(claim)).rejects.toThrow('Redis answered a lock script with');
    },
  );
});

describe('an answer to a renewal on Redis', () => {
  const two = [claim, { ...claim, owner: 'pod:2' }];

  it('has a digit for each lock', async () => {
    expect(await answering('10').renew(two)).toEqual([true, false]);
  });

  it.each([['1'], [[1, 1]], [null], [11]])('that no script of ours gives, as %j, is none', async (answer) => {
    await expect(answering(answer).renew(two)).rejects.toThrow('Redis answered a lock script with');
  });
});

import { expect, it } from 'vitest';
import type { Busy } from '../../lib/backends/backend.js';
import { Crowd } from '../../lib/backends/sql/crowd.js';

const busy: Busy = { granted: false, at: 1, retryAfterMs: 5_000, holder: 'h:1', ahead: 'a:1' };

/** A crowd of `a`, `b` and `c` on one key, all far from the head as they were told, and what the server is asked for. */
function crowd() {
  const asked: (readonly string[])[] = [];
  const near = new Set<string>();
  const crowd = new Crowd(async (_, owners) => {
    asked.push(owners);
    return { at: 2, retryAfterMs: 5_000, holder: 'h:2', far: owners.map((owner) => !near.has(owner)) };
  });
  for (const owner of ['a', 'b', 'c']) crowd.told('key', owner, busy, true);
  return { crowd, asked, near };
}

it('one question is for all of a line, however many look at the same time', async () => {
  const { crowd: line, asked } = crowd();
  line.doubt();
  const answers = await Promise.all(['a', 'b', 'c'].map((owner) => line.look('key', owner)));
  expect(asked).toEqual([['a', 'b', 'c']]);
  expect(answers[2]).toMatchObject({ granted: false, at: 2, holder: 'h:2', ahead: 'a:1' });
  expect(await line.look('key', 'b')).toMatchObject({ at: 2 });
  expect(asked).toHaveLength(1);
});

it('whoever has come near the head, waits no more or was never told asks by itself', async () => {
  const { crowd: line, near } = crowd();
  near.add('a');
  line.doubt();
  expect(await line.look('key', 'a')).toBeUndefined();
  line.left('key', 'b');
  expect(await line.look('key', 'b')).toBeUndefined();
  expect(await line.look('key', 'z')).toBeUndefined();
  expect(await line.look('other', 'c')).toBeUndefined();
  line.told('key', 'c', busy, false);
  expect(await line.look('key', 'c')).toBeUndefined();
});

it('after a message may have been lost, what was answered before counts no more', async () => {
  const { crowd: line, asked } = crowd();
  expect(await line.look('key', 'a')).toMatchObject({ at: 1 });
  line.doubt();
  expect(await line.look('key', 'a')).toMatchObject({ at: 2 });
  expect(asked).toHaveLength(1);
});

it('where nobody has the key any more, the one who finds out asks by itself, which serves the line, and the others soon look', async () => {
  const asked: (readonly string[])[] = [];
  let retryAfterMs = -18_000;
  const line = new Crowd(async (_, owners) => {
    asked.push(owners);
    return { at: 2, retryAfterMs, holder: 'h:1', far: owners.map(() => true) };
  });
  for (const owner of ['a', 'b', 'c']) line.told('key', owner, busy, true);
  line.doubt();
  const [first, ...others] = await Promise.all(['a', 'b', 'c'].map((owner) => line.look('key', owner)));
  expect(first).toBeUndefined();
  for (const other of others) {
    expect(other?.retryAfterMs).toBeGreaterThan(0);
    expect(other?.retryAfterMs).toBeLessThanOrEqual(1_000);
  }
  expect(asked).toHaveLength(1);
  // It was told by itself that it is still far from the head: the next one that finds out asks as well.
  line.told('key', 'a', busy, true);
  line.doubt();
  expect(await line.look('key', 'b')).toBeUndefined();
  retryAfterMs = 2_000;
  line.doubt();
  expect(await line.look('key', 'a')).toMatchObject({ retryAfterMs: 2_000 });
});

it('an answer that does not come is no answer, for none of them', async () => {
  let fail = true;
  const line = new Crowd(async (_, owners) => {
    if (fail) throw new Error('no answer');
    return { at: 3, retryAfterMs: 1, holder: undefined, far: owners.map(() => true) };
  });
  for (const owner of ['a', 'b']) line.told('key', owner, busy, true);
  line.doubt();
  const looks = await Promise.allSettled(['a', 'b'].map((owner) => line.look('key', owner)));
  expect(looks.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  fail = false;
  expect(await line.look('key', 'a')).toMatchObject({ at: 3 });
});

import { describe, expect, it } from 'vitest';
import { type Hold, violations } from '../../lib/testing/contract/history.js';

const all = { fifo: true, fencing: true };

/** A hold that is right by itself: asked for and entered at `from`, with a token that tells the time of the grant. */
function hold(owner: string, from: number, to: number, more: Partial<Hold> = {}): Hold {
  const right = {
    key: 'k',
    owner,
    mode: 'exclusive',
    limit: 1,
    fencingToken: BigInt(from * 10),
    asked: from,
    queued: undefined,
  } as const;
  return { ...right, from, to, ...more };
}

const reader = { mode: 'shared' } as const;
const permit = { limit: 2 } as const;

describe('a right history has no violations', () => {
  it.each<[string, Hold[]]>([
    ['an empty one', []],
    ['writers one after another, however close', [hold('a', 0, 10), hold('b', 10, 20), hold('c', 20, 20)]],
    ['readers together, then a writer', [hold('a', 0, 10, reader), hold('b', 5, 15, reader), hold('c', 15, 20)]],
    ['as many as the permits', [hold('a', 0, 10, permit), hold('b', 1, 9, permit), hold('c', 9, 12, permit)]],
    [
      'two keys that have nothing to do with each other',
      [hold('a', 0, 10), hold('b', 5, 15, { key: 'other', fencingToken: 1n })],
    ],
    [
      'grants made together and heard of in another order',
      [
        hold('a', 6, 10, { ...reader, asked: 0, queued: 1, fencingToken: 1n }),
        hold('b', 5, 10, { ...reader, asked: 2, queued: 3, fencingToken: 2n }),
      ],
    ],
    [
      'two that asked at the same time, in either order',
      [
        hold('a', 20, 30, { asked: 0, queued: 5, fencingToken: 2n }),
        hold('b', 10, 20, { asked: 4, queued: 6, fencingToken: 1n }),
      ],
    ],
  ])('%s', (_, history) => {
    expect(violations(history, all)).toEqual([]);
  });
});

describe('a planted violation is found', () => {
  it.each<[string, Hold[], RegExp]>([
    ['two writers', [hold('a', 0, 10), hold('b', 9, 20)], /2 were inside at once: writer a .* writer b/],
    [
      'a writer within a long hold',
      [hold('a', 0, 100), hold('b', 1, 2), hold('c', 50, 60)],
      /2 were inside at once: writer a .* writer c/,
    ],
    ['a writer beside a reader', [hold('a', 0, 10, reader), hold('b', 9, 20)], /writer b .* came in beside reader a/],
    ['a reader beside a writer', [hold('a', 0, 10), hold('b', 9, 20, reader)], /reader b .* came in beside writer a/],
    [
      'a writer beside the second of two readers',
      [hold('a', 0, 5, reader), hold('b', 1, 20, reader), hold('c', 10, 12)],
      /writer c .* beside reader b/,
    ],
    [
      'one more than the permits',
      ['a', 'b', 'c'].map((owner, at) => hold(owner, at, 10, permit)),
      /3 were inside at once/,
    ],
    [
      'holders of different limits',
      [hold('a', 0, 10, { limit: 5 }), hold('b', 1, 10, { limit: 3 })],
      /disagree about the limit/,
    ],
    ['a permit beside a mutex', [hold('a', 0, 10, { limit: 5 }), hold('b', 1, 10)], /disagree about the limit/],
    [
      'a token that falls',
      [hold('a', 0, 10, { fencingToken: 5n }), hold('b', 20, 30, { fencingToken: 4n })],
      /b .* came after writer a .* smaller token/,
    ],
    [
      'a token that falls to one who had asked early',
      [hold('a', 0, 10, { fencingToken: 5n }), hold('b', 20, 30, { asked: 0, fencingToken: 4n })],
      /smaller token/,
    ],
    [
      'a token that stays',
      [hold('a', 0, 10, { fencingToken: 5n }), hold('b', 20, 30, { fencingToken: 5n })],
      /have one token/,
    ],
    [
      'readers with one token',
      [hold('a', 0, 10, { ...reader, fencingToken: 5n }), hold('b', 0, 10, { ...reader, fencingToken: 5n })],
      /have one token/,
    ],
    ['a token that is missing', [hold('a', 0, 10, { fencingToken: undefined })], /has no fencing token/],
    [
      'one who is overtaken',
      [hold('a', 30, 40, { asked: 0, queued: 1 }), hold('b', 10, 20, { asked: 5, queued: 6 })],
      /b .* overtook writer a .*, which stood in line from 1\.0 ms/,
    ],
    [
      'a writer who is overtaken by a reader',
      [hold('w', 30, 40, { asked: 0, queued: 1 }), hold('r', 10, 25, { ...reader, asked: 5 })],
      /reader r .* overtook writer w/,
    ],
  ])('%s', (_, history, sentence) => {
    const found = violations(history, all);
    expect(found.join('\n')).toMatch(sentence);
    expect(violations(history.toReversed(), all), 'the order of writing does not matter').toHaveLength(found.length);
  });

  it('one who is overtaken is found without tokens only where it is certain', () => {
    const patient = hold('a', 30, 40, { asked: 0, queued: 1, fencingToken: undefined });
    const before = hold('b', 10, 20, { asked: 5, fencingToken: undefined });
    expect(violations([patient, before], { fifo: true, fencing: false })).toHaveLength(1);
    const meanwhile = { ...before, ...reader, to: 35 };
    expect(violations([{ ...patient, ...reader }, meanwhile], { fifo: true, fencing: false })).toEqual([]);
  });

  it('only what was promised is asked for', () => {
    const untidy = [
      hold('a', 30, 40, { asked: 0, queued: 1, fencingToken: undefined }),
      hold('b', 10, 20, { asked: 5, fencingToken: undefined }),
    ];
    expect(violations(untidy, { fifo: false, fencing: false })).toEqual([]);
    expect(violations(untidy, { fifo: false, fencing: true })).toHaveLength(2);
  });
});

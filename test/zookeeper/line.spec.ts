import { describe, expect, it } from 'vitest';
import { layouts } from '../../lib/backends/zookeeper/layout.js';
import { placesIn } from '../../lib/backends/zookeeper/line.js';
import { nameOf, textOf } from '../../lib/backends/zookeeper/names.js';

describe('The names of nodes', () => {
  it.each(['order', '.', '..', '...', 'a/b', '%', '%2E', '%u0000', 'zookeeper', '\u0000', '\ud800', 'ключ', '🔒'])(
    'stand for the key %j and for no other',
    (key) => {
      const name = nameOf(key);
      expect(textOf(name)).toBe(key);
      expect(name).not.toMatch(/\/|^\.{1,2}$|^zookeeper$|[\p{Cc}\p{Cs}]/u);
    },
  );
});

describe('A line', () => {
  const numbersOf = (names: readonly string[], since?: number): readonly number[] =>
    placesIn(layouts.own, '/key', names, since).map(({ number }) => number);

  it('goes on after the last positive number, which is where the server begins with negative ones', () => {
    const names = ['b-x-2147483647', 'a-x-2147483646', 'c-x--2147483648'];
    expect(numbersOf(names, 2_147_483_646)).toEqual([2_147_483_646, 2_147_483_647, -2_147_483_648]);
  });

  it('has children that nobody knows in front of everything', () => {
    const [stranger, place] = placesIn(layouts.own, '/key', ['a-x-0000000001', 'leases']);
    expect([stranger?.owner, stranger?.limit, place?.owner]).toEqual(['leases', 0, 'a']);
  });
});

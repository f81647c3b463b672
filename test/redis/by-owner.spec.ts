import { describe, expect, it } from 'vitest';
import { ByOwner, type Owned } from '../../lib/backends/redis/by-owner.js';

interface Thing extends Owned {
  readonly what: string;
  next: this | undefined;
}

const thing = (owner: string, what = owner): Thing => ({ owner, what, next: undefined });

describe('what is looked up by its owner', () => {
  it('is found under its own owner only, also among very many', () => {
    const things = new ByOwner<Thing>();
    const owners = Array.from({ length: 5_000 }, (_, number) => `pod-${number % 3}:${number}`);
    for (const owner of owners) things.set(thing(owner));
    expect(owners.filter((owner) => things.get(owner)?.what !== owner)).toEqual([]);
    expect([things.get('pod-0:1'), things.get('pod-0:5000'), things.get(''), things.get('1')]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect([...things]).toHaveLength(5_000);
  });

  it('is gone when it is deleted, and those beside it stay', () => {
    const things = new ByOwner<Thing>();
    // All of these end in the same digits.
    const owners = ['a:10001', 'b:10001', 'c:10001', 'd:10001'];
    for (const owner of owners) things.set(thing(owner));
    for (const owner of ['b:10001', 'd:10001', 'nobody:10001']) things.delete(owner);
    expect([...things].map(({ owner }) => owner).sort()).toEqual(['a:10001', 'c:10001']);
    for (const owner of owners) things.delete(owner);
    expect([...things]).toEqual([]);
  });

  it('takes the place of another one of the same owner', () => {
    const things = new ByOwner<Thing>();
    for (const what of ['first', 'second']) things.set(thing('pod:1', what));
    expect(things.get('pod:1')?.what).toBe('second');
    expect([...things]).toHaveLength(1);
  });
});

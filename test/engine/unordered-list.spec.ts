import { describe, expect, it } from 'vitest';
import { NOWHERE, UnorderedList } from '../../lib/engine/time/unordered-list.js';

const thing = (name: string) => ({ name, place: NOWHERE });
const namesOf = (roster: UnorderedList<ReturnType<typeof thing>>): string[] =>
  [...roster].map(({ name }) => name).sort();

describe('a roster', () => {
  it('has what was added and not removed, whichever goes first', () => {
    const roster = new UnorderedList<ReturnType<typeof thing>>();
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(thing) as [
      ReturnType<typeof thing>,
      ReturnType<typeof thing>,
      ReturnType<typeof thing>,
      ReturnType<typeof thing>,
    ];
    for (const one of [a, b, c, d]) roster.add(one);
    expect(roster.remove(a)).toBe(true);
    expect(roster.remove(d)).toBe(true);
    expect(namesOf(roster)).toEqual(['b', 'c']);
    roster.add(a);
    expect(namesOf(roster)).toEqual(['a', 'b', 'c']);
    for (const one of [c, a, b]) expect(roster.remove(one)).toBe(true);
    expect(roster.size).toBe(0);
  });

  it('removing what is not on it says so and takes nothing else off', () => {
    const roster = new UnorderedList<ReturnType<typeof thing>>();
    const [on, off] = [thing('on'), thing('off')];
    roster.add(on);
    expect(roster.remove(off)).toBe(false);
    expect(roster.remove(on)).toBe(true);
    expect(roster.remove(on)).toBe(false);
    expect(roster.size).toBe(0);
  });

  it('may change while it is gone through', () => {
    const roster = new UnorderedList<ReturnType<typeof thing>>();
    for (const name of ['a', 'b', 'c']) roster.add(thing(name));
    const seen: string[] = [];
    for (const one of roster) {
      seen.push(one.name);
      roster.remove(one);
    }
    expect(seen.sort()).toEqual(['a', 'b', 'c']);
    expect(roster.size).toBe(0);
  });
});

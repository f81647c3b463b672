import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { mutants } from './mutants.js';

/** `npm run test:mutants` takes minutes. That the source moved away from under a mutant is told here, in the moment it happens. */
describe('Each mutant', () => {
  const path = (inRepository: string) => fileURLToPath(new URL(`../../${inRepository}`, import.meta.url));

  it.each(mutants)('finds its place: $bug', ({ file, find, replace }) => {
    const places = readFileSync(path(`lib/${file}`), 'utf8').split(find).length - 1;
    expect(places, `lib/${file} has this text ${places} times: ${find}`).toBe(1);
    expect(replace, 'a mutant that changes nothing').not.toBe(find);
  });

  it.each(mutants)('has a test to find it: $bug', ({ killedBy }) => {
    const spec = 'spec' in killedBy ? killedBy.spec : `test/simulation/${killedBy.simulation}.spec.ts`;
    expect(existsSync(path(spec)), `${spec} is not there`).toBe(true);
  });

  it('is said once', () => {
    const bugs = mutants.map(({ bug }) => bug);
    expect(bugs).toEqual([...new Set(bugs)]);
  });
});

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const backends = new URL('../../lib/backends/', import.meta.url);

it('every backend runs the contract suite', () => {
  const names = readdirSync(backends, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(new URL(`${entry.name}/index.ts`, backends)))
    .map((entry) => entry.name);
  expect(names).toEqual(expect.arrayContaining(['memory', 'redis']));
  const without = names.filter((name) => {
    const spec = new URL(`${name}.spec.ts`, import.meta.url);
    return !existsSync(spec) || !new RegExp(`describeBackend\\(\\s*'${name}'`).test(readFileSync(spec, 'utf8'));
  });
  expect(without, 'backends without test/contract/<name>.spec.ts').toEqual([]);
});

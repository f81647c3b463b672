import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The root of the repository. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** One subpath of the package: its name as users import it, and its source. */
export interface Entry {
  /** Such as `nestjs-distributed-lock/redis`. */
  readonly name: string;
  /** From `lib`, without an ending, such as `backends/redis/index`. */
  readonly source: string;
}

type Targets = { readonly import?: { readonly types?: string } } | string;

/** What the package exports, as `package.json` says. */
export function packageEntries(): readonly Entry[] {
  const { name, exports } = JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8')) as {
    readonly name: string;
    readonly exports: Readonly<Record<string, Targets>>;
  };
  return Object.entries(exports).flatMap(([subpath, targets]) => {
    const types = typeof targets === 'string' ? undefined : targets.import?.types;
    if (types === undefined) return [];
    return [{ name: name + subpath.slice(1), source: types.replace('./dist/esm/', '').replace(/\.d\.ts$/, '') }];
  });
}

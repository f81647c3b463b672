import type { Claim, LockMode, Traits } from '../backend.js';
import type { Place } from '../line/driver.js';
import { nameOf, textOf } from './names.js';

/** A place in a line, which is a node below that of the key. */
export interface ZooKeeperPlace extends Place {
  /** As servers know it. */
  readonly path: string;
  /** Its number in the line. It grows with each node; after 2^31 nodes of one key it goes on from -2^31. */
  readonly number: number;
  /** It is kept closed for so many milliseconds after its release. */
  readonly keptMs: number | undefined;
  /** The leader's clock when it was created, in milliseconds, where that is known. */
  readonly ctime?: number;
  /** How long its session is, in milliseconds, where that is known. */
  readonly sessionMs?: number;
}

/** What the name of a place says. */
export type Named = Pick<ZooKeeperPlace, 'owner' | 'mode' | 'limit' | 'number' | 'keptMs'>;

/**
 * Which names places have, and so which other clients stand in the same lines:
 * - `own`: ours alone, with semaphores and `minHold`;
 * - `kazoo`: kazoo's `Lock`, `ReadLock` and `WriteLock` (Python);
 * - `curator`: Curator's `InterProcessMutex` and `InterProcessSemaphoreMutex`'s kin without readers (Java);
 * - `curator-rw`: Curator's `InterProcessReadWriteLock` (Java).
 */
export type LayoutName = 'own' | 'kazoo' | 'curator' | 'curator-rw';

export interface Layout {
  readonly traits: Pick<Traits, 'modes' | 'semaphores' | 'minHold'>;
  /** Up to the number, which the server adds. */
  prefixOf(claim: Pick<Claim, 'owner' | 'mode' | 'limit'>): string;
  /** `undefined`: no place of this layout. */
  read(name: string): Named | undefined;
  /** The name under which a place is kept closed. */
  keptName?(name: string, ms: number): string;
}

const NUMBER = String.raw`(-?\d{9,})`;

const EXCLUSIVE: Pick<ZooKeeperPlace, 'limit' | 'keptMs'> = { limit: 1, keptMs: undefined };

/** A layout in which the mark alone says what a place is. */
function marked(prefix: string, marks: { readonly [mode in LockMode]?: string }, pattern: RegExp): Layout {
  const modes = (['exclusive', 'shared'] as const).filter((mode) => marks[mode] !== undefined);
  return {
    traits: { modes, semaphores: false, minHold: false },
    prefixOf: ({ owner, mode }) => `${prefix}${nameOf(owner)}${marks[mode] ?? ''}`,
    read(name) {
      const [, owner, mark, number] = pattern.exec(name) ?? [];
      if (mark === undefined || number === undefined) return undefined;
      const mode = marks.shared?.endsWith(mark) ? 'shared' : 'exclusive';
      return { ...EXCLUSIVE, owner: owner ? textOf(owner) : name, mode, number: Number(number) | 0 };
    },
  };
}

const own: Layout = {
  traits: { modes: ['exclusive', 'shared'], semaphores: true, minHold: true },
  prefixOf: ({ owner, mode, limit }) => `${nameOf(owner)}-${limit > 1 ? `p${limit}` : mode === 'shared' ? 's' : 'x'}-`,
  read(name) {
    const [, kept, owner = '', sort, limit, number] = OWN.exec(name) ?? [];
    if (number === undefined) return undefined;
    return {
      owner: kept === undefined ? textOf(owner) : name,
      mode: sort === 's' ? 'shared' : 'exclusive',
      limit: Number(limit ?? 1),
      number: Number(number) | 0,
      keptMs: kept === undefined ? undefined : Number(kept),
    };
  },
  keptName: (name, ms) => `kept:${ms}:${name}`,
};

const OWN = new RegExp(`^(?:kept:(\\d+):)?(.+)-(x|s|p(\\d+))-${NUMBER}$`);

export const layouts: { readonly [name in LayoutName]: Layout } = {
  own,
  kazoo: marked('', { exclusive: '__lock__', shared: '__rlock__' }, new RegExp(`^(.*)(__lock__|__rlock__)${NUMBER}$`)),
  curator: marked('_c_', { exclusive: '-lock-' }, new RegExp(`^(?:_c_(.+)-)?(lock-)${NUMBER}$`)),
  'curator-rw': marked(
    '_c_',
    { exclusive: '-__WRIT__', shared: '-__READ__' },
    new RegExp(`^(?:_c_(.+)-)?(__WRIT__|__READ__)${NUMBER}$`),
  ),
};

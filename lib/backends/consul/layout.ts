import type { Claim, LockMode } from '../backend.js';
import type { Place } from '../line/driver.js';

/**
 * How locks look in Consul's key-value store. A lock is a folder `<root>/<key>/` with an entry for each holder and waiter, named for
 * its owner, in the order of their create indexes. `<root>/.sessions/<session>` is the guard of a session: see session.ts.
 */
export interface ConsulPlace extends Place {
  /** The whole key of the entry. */
  readonly path: string;
  readonly session: string | undefined;
  /** The create index: the place's order in its line. */
  readonly created: number;
  /** The modify index of what was read. */
  readonly modified: number;
  /** The lease that its holder asked for, in milliseconds. */
  readonly ttl: number;
  /** It also has what `consul lock` knows of the lock: see official-lock.ts. */
  readonly gated?: boolean;
}

/** An entry as the API shows it. */
export interface Entry {
  readonly Key: string;
  /** In base64; `null` for an empty one, and in the answer to a write. */
  readonly Value: string | null;
  readonly Session?: string;
  /** All digits of it. */
  readonly Flags?: string;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
}

export class Layout {
  /** @param beside whether `consul lock` stands beside these locks: its entry is no place in our line then */
  constructor(
    readonly root: string,
    readonly beside = false,
  ) {}

  /** Where the entries of a lock are, with a slash at the end. */
  folder(key: string): string {
    return `${this.root}/${escaped(key)}/`;
  }

  /** Where the folders of all locks are that begin so. */
  prefix(start: string): string {
    return `${this.root}/${escaped(start)}`;
  }

  path({ key, owner }: Pick<Claim, 'key' | 'owner'>): string {
    return this.folder(key) + owner;
  }

  /** Where `consul lock` has the lock. */
  gate(key: string): string {
    return `${this.folder(key)}.lock`;
  }

  guard(session: string): string {
    return `${this.root}/.sessions/${session}`;
  }

  /** The key of the lock with this folder; `undefined` when it is none. */
  keyOf(folder: string): string | undefined {
    const name = folder.slice(this.root.length + 1, -1);
    return name.startsWith('.') ? undefined : unescaped(name);
  }

  /** The places among the entries that are in this line, foremost first. */
  line(key: string, entries: readonly Entry[]): ConsulPlace[] {
    const folder = this.folder(key);
    const places = new Map<string, ConsulPlace>();
    // Of an entry that was written and then read the reading comes last, and only that has the value.
    for (const entry of entries) {
      if (!isIn(folder, entry) || (this.beside && entry.Key === this.gate(key))) continue;
      places.set(entry.Key, placeOf(folder, entry));
    }
    return [...places.values()].sort((one, other) => one.created - other.created);
  }
}

/** A nonce makes every writing a change: Consul gives no index to one that changes nothing, and wakes nobody. */
export function valueOf({ mode, limit, ttl }: Pick<Claim, 'mode' | 'limit' | 'ttl'>, nonce: number): string {
  return Buffer.from(JSON.stringify({ mode, limit, ttl, nonce })).toString('base64');
}

const isIn = (folder: string, { Key }: Entry): boolean =>
  Key.length > folder.length && Key.startsWith(folder) && !Key.includes('/', folder.length);

function placeOf(folder: string, { Key, Value, Session, CreateIndex, ModifyIndex }: Entry): ConsulPlace {
  return {
    ...wantedBy(Value),
    owner: Key.slice(folder.length),
    token: BigInt(CreateIndex),
    path: Key,
    session: Session,
    created: CreateIndex,
    modified: ModifyIndex,
  };
}

/** Whatever is not ours counts as an exclusive lock. */
function wantedBy(value: string | null): { mode: LockMode; limit: number; ttl: number } {
  try {
    const wanted: unknown = JSON.parse(Buffer.from(value ?? '', 'base64').toString('utf8'));
    if (typeof wanted === 'object' && wanted !== null && 'mode' in wanted && 'limit' in wanted && 'ttl' in wanted) {
      const { mode, limit, ttl } = wanted;
      if (typeof limit === 'number' && typeof ttl === 'number') {
        return { mode: mode === 'shared' ? 'shared' : 'exclusive', limit, ttl };
      }
    }
  } catch {
    // Not in our words.
  }
  return { mode: 'exclusive', limit: 1, ttl: Number.MAX_SAFE_INTEGER };
}

/** Slashes make folders, a dot in front is ours, and an agent refuses a URL with characters that cannot be printed. */
const SPECIAL = /[^ -~]|[/%]|^\./g;

/** Character by character, so that what begins alike is written alike. */
const escaped = (key: string): string =>
  key.replace(SPECIAL, (character) => {
    const code = character.charCodeAt(0).toString(16).toUpperCase();
    return code.length > 2 ? `%u${code}` : `%${code.padStart(2, '0')}`;
  });

const unescaped = (name: string): string =>
  name.replace(/%(?:u([0-9A-F]{4})|([0-9A-F]{2}))/g, (_, long: string | undefined, short: string | undefined) =>
    String.fromCharCode(Number.parseInt(long ?? short ?? '', 16)),
  );

/** A key as a part of a URL, whose slashes stay. */
export const inUrl = (path: string): string => path.split('/').map(encodeURIComponent).join('/');

import type { Claim, Clash, LockMode } from '../backend.js';
import type { KeyValue } from './client.js';

/**
 * How a lock looks in etcd: a key `<name>/<owner>` for each who holds it or waits for it, in the order of their create revisions.
 * That is how etcd's own `concurrency.Mutex` and `etcdctl lock <name>` do it (`<name>/<lease>`), so all stand in one line. The
 * value says what is wanted; a value of somebody else's is an exclusive lock, as theirs are.
 */
export interface Place {
  readonly owner: string;
  readonly mode: LockMode;
  readonly limit: number;
  readonly revision: number;
  readonly kv: KeyValue;
}

export const keyOf = ({ key, owner }: Pick<Claim, 'key' | 'owner'>): Buffer => Buffer.from(`${key}/${owner}`);

/** The key is read back as the claim that it is of; owners have no slash. */
export function claimOf(key: Buffer): Pick<Claim, 'key' | 'owner'> {
  const text = key.toString();
  const slash = text.lastIndexOf('/');
  return { key: text.slice(0, slash), owner: text.slice(slash + 1) };
}

export const valueOf = ({ mode, limit }: Pick<Claim, 'mode' | 'limit'>): Buffer =>
  Buffer.from(limit > 1 ? `permit of ${limit}` : mode);

/** The places in a line, in order. The keys of a lock that is named below this one, such as `a/b` below `a`, are none. */
export function placesIn(name: string, kvs: readonly KeyValue[]): Place[] {
  const places = new Map<string, Place>();
  for (const kv of kvs) {
    const owner = ownerIn(name, kv);
    if (owner.includes('/')) continue;
    const value = kv.value.toString();
    places.set(owner, {
      owner,
      mode: value === 'shared' ? 'shared' : 'exclusive',
      limit: Number(/^permit of (\d+)$/.exec(value)?.[1] ?? 1),
      revision: Number(kv.create_revision),
      kv,
    });
  }
  return [...places.values()].sort((one, other) => one.revision - other.revision);
}

/** Whether keys of a lock that is named below this one are among them. */
export const isMixed = (name: string, kvs: readonly KeyValue[]): boolean =>
  kvs.some((kv) => ownerIn(name, kv).includes('/'));

const ownerIn = (name: string, { key }: KeyValue): string => key.toString('utf8', Buffer.byteLength(name) + 1);

/** Those who hold: of a semaphore the first ones, of a lock the first one, or all readers up to the first who is none. */
export function holdersIn(line: readonly Place[]): readonly Place[] {
  const [first] = line;
  if (!first) return [];
  if (first.limit > 1) return line.slice(0, first.limit);
  if (!isReader(first)) return [first];
  const other = line.findIndex((place) => !isReader(place));
  return other < 0 ? line : line.slice(0, other);
}

/** What keeps a claim from its turn. */
export type Obstacle =
  /** This key must go. `last`: then its turn has come. */
  | { readonly key: Place; readonly last: boolean }
  /** Any of these must go, and then its turn has come. */
  | { readonly any: readonly Place[] };

/** `undefined`: it is its turn. Those `ahead` may be told with gaps, as long as one more than one is there. */
export function obstacleOf({ mode, limit }: Claim, ahead: readonly Place[]): Obstacle | undefined {
  if (limit > 1) return obstacleOfPermit(limit, ahead);
  const inTheWay = mode === 'shared' ? ahead.filter((place) => !isReader(place)) : ahead;
  const last = inTheWay.at(-1);
  return last && { key: last, last: inTheWay.length === 1 };
}

/**
 * The first who waits needs any of the holders to go. Those behind need as many to go as stand ahead of them, and look again when
 * the one just ahead goes or becomes a holder.
 */
function obstacleOfPermit(limit: number, ahead: readonly Place[]): Obstacle | undefined {
  const stranger = ahead.findLast((place) => place.limit !== limit);
  const before = ahead.at(-1);
  if (stranger) return { key: stranger, last: false };
  if (before === undefined || ahead.length < limit) return undefined;
  return ahead.length === limit ? { any: ahead } : { key: before, last: false };
}

const isReader = ({ mode, limit }: Place): boolean => mode === 'shared' && limit === 1;

/** Whoever is first says what the key is used as. */
export function clashOf({ limit }: Claim, [first]: readonly Place[]): Clash | undefined {
  return first && first.limit !== limit ? { granted: false, limit: first.limit } : undefined;
}

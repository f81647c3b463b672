import type { Claim } from '../backend.js';
import type { Place } from '../line/driver.js';
import type { KeyValue } from './client.js';

/**
 * A lock in etcd is a line of keys `<name>/<owner>`, one for each holder and waiter, in the order of their create revisions. That is
 * how etcd's own `concurrency.Mutex` and `etcdctl lock <name>` do it (`<name>/<lease>`), so all of them stand in one line. The value
 * says what is wanted; another client's value is an exclusive lock.
 */
export interface EtcdPlace extends Place {
  readonly kv: KeyValue;
}

export const keyOf = ({ key, owner }: Pick<Claim, 'key' | 'owner'>): Buffer => Buffer.from(`${key}/${owner}`);

/** The claim that an etcd key belongs to. An owner has no slash. */
export function claimOf(key: Buffer): Pick<Claim, 'key' | 'owner'> {
  const text = key.toString();
  const slash = text.lastIndexOf('/');
  return { key: text.slice(0, slash), owner: text.slice(slash + 1) };
}

export const valueOf = ({ mode, limit }: Pick<Claim, 'mode' | 'limit'>): Buffer =>
  Buffer.from(limit > 1 ? `permit of ${limit}` : mode);

/** The place that a claim took at that revision. */
export function taken(claim: Claim, lease: string, revision: string): EtcdPlace {
  const { owner, mode, limit } = claim;
  const [create_revision, mod_revision] = [revision, revision];
  const kv = { key: keyOf(claim), value: valueOf(claim), create_revision, mod_revision, lease };
  return { owner, mode, limit, token: BigInt(revision), kv };
}

/** The places of a line, foremost first. Keys of a lock that is named below this one, such as `a/b` below `a`, are left out. */
export function placesIn(name: string, kvs: readonly KeyValue[]): EtcdPlace[] {
  const places = new Map<string, EtcdPlace>();
  for (const kv of kvs) {
    const owner = ownerIn(name, kv);
    if (owner.includes('/')) continue;
    const value = kv.value.toString();
    places.set(owner, {
      owner,
      mode: value === 'shared' ? 'shared' : 'exclusive',
      limit: Number(/^permit of (\d+)$/.exec(value)?.[1] ?? 1),
      token: BigInt(kv.create_revision),
      kv,
    });
  }
  return [...places.values()].sort((one, other) => createdAt(one) - createdAt(other));
}

export const createdAt = ({ kv }: EtcdPlace): number => Number(kv.create_revision);

/** Whether keys of a lock that is named below this one are among them. */
export const isMixed = (name: string, kvs: readonly KeyValue[]): boolean =>
  kvs.some((kv) => ownerIn(name, kv).includes('/'));

const ownerIn = (name: string, { key }: KeyValue): string => key.toString('utf8', Buffer.byteLength(name) + 1);

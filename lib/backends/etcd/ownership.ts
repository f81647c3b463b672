import { LockConfigurationError } from '../../lock/errors.js';
import type { Lock } from '../../lock/lock.js';

/** A comparison for the first arguments of etcd3's `client.if(…)` or `.and(…)`. */
export type OwnershipComparison = [key: string, column: 'Create', operator: '==', revision: string];

/**
 * Native fencing for data that lives in the same etcd: the transaction only happens if the lock is still held at that moment, so
 * not even a holder that was paused past its lease can do harm.
 *
 * ```ts
 * const done = await client.if(...isOwner(lock)).then(client.put('report').value('…')).commit();
 * if (!done.succeeded) throw new Error('the lock is gone');
 * ```
 *
 * @param options its `prefix` is that of the module, if it is not the default
 */
export function isOwner(lock: Lock, { prefix = 'lock:' }: { readonly prefix?: string } = {}): OwnershipComparison {
  if (lock.keys.length !== 1 || lock.fencingToken === undefined) {
    throw new LockConfigurationError(
      `isOwner() takes a lock of one key in etcd, and '${lock.key}' is something else.`,
      { key: lock.key },
    );
  }
  return [`${prefix}${lock.key}/${lock.owner}`, 'Create', '==', lock.fencingToken.toString()];
}

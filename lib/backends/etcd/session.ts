import type { Claim, Session } from '../backend.js';
import { claimOf } from './places.js';
import { own } from './requests.js';
import { renewalPatience } from '../line/servers.js';
import { isLeaseGone, type Store } from './store.js';

/** A lease that the locks of this process hang from. */
export class EtcdSession implements Session {
  /** As `etcdctl lease list` shows it. */
  readonly id: string;

  private constructor(
    private readonly store: Store,
    /** The lease, as requests name it. */
    readonly lease: string,
    readonly ttl: number,
  ) {
    this.id = BigInt(lease).toString(16);
  }

  static async open(store: Store, ttl: number): Promise<EtcdSession> {
    // etcd counts in seconds, and a server may grant more than it is asked for, never less.
    const { ID, TTL } = await store.members.call(
      (etcd, options) => etcd.leaseClient.leaseGrant({ TTL: Math.ceil(ttl / 1000) }, options),
      { urgent: true },
    );
    return new EtcdSession(store, ID, Number(TTL) * 1000);
  }

  renew(): Promise<boolean> {
    return this.store.members.call(
      async (etcd, options) => {
        const stream = await etcd.leaseClient.leaseKeepAlive(options);
        return new Promise<boolean>((resolve, reject) => {
          stream.on('data', ({ TTL }) => resolve(Number(TTL) > 0));
          stream.on('error', reject);
          stream.on('end', () => reject(new Error('14 UNAVAILABLE: the member ended the stream without an answer')));
          stream.write({ ID: this.lease });
          // One question, one answer. etcd3 takes the failure of a stream that is still open for that of the whole member.
          stream.end();
        });
      },
      { urgent: true, patience: renewalPatience(this.store.members.patience, this.ttl) },
    );
  }

  async attached(held: readonly Claim[]): Promise<readonly Pick<Claim, 'key' | 'owner'>[]> {
    const { keys } = await this.store.members.call(
      (etcd, options) => etcd.leaseClient.leaseTimeToLive({ ID: this.lease, keys: true }, options),
      { urgent: true, optional: true },
    );
    const listed = keys.map(claimOf);
    const owners = new Set(listed.map(({ owner }) => owner));
    // The leader lists them from its memory and may be a moment behind, so what is missing is asked for by name.
    const missing = held.filter(({ owner }) => !owners.has(owner));
    const there = await this.store.run(missing.map(own));
    return [...listed, ...there.filter(({ lease }) => lease === this.lease).map(({ key }) => claimOf(key))];
  }

  async end(): Promise<void> {
    const urgent = { urgent: true };
    try {
      await this.store.members.call((etcd, how) => etcd.leaseClient.leaseRevoke({ ID: this.lease }, how), urgent);
    } catch (error) {
      if (!isLeaseGone(error)) throw error;
    }
  }
}

import type { Claim, Session } from '../backend.js';
import { claimOf } from './places.js';
import { found, own, transactionsOf } from './requests.js';
import { renewalPatience } from '../line/servers.js';
import type { Members } from './members.js';

/** How long the list of a lease's keys may take, in milliseconds: there can be 100,000 of them. */
const LIST_MS = 5_000;

/** A lease that the locks of this process hang from. */
export class EtcdSession implements Session {
  /** As `etcdctl lease list` shows it. */
  readonly id: string;

  private constructor(
    private readonly members: Members,
    /** The lease, as requests name it. */
    readonly lease: string,
    readonly ttl: number,
  ) {
    this.id = BigInt(lease).toString(16);
  }

  static async open(members: Members, ttl: number): Promise<EtcdSession> {
    // etcd counts in seconds, and a server may grant more than it is asked for, never less.
    const { ID, TTL } = await members.call(
      (etcd, options) => etcd.leaseClient.leaseGrant({ TTL: Math.ceil(ttl / 1000) }, options),
      { urgent: true },
    );
    return new EtcdSession(members, ID, Number(TTL) * 1000);
  }

  renew(): Promise<boolean> {
    return this.members.call(
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
      { urgent: true, patience: renewalPatience(this.members.patience, this.ttl) },
    );
  }

  async attached(held: readonly Claim[]): Promise<readonly Pick<Claim, 'key' | 'owner'>[]> {
    const { keys } = await this.members.call(
      (etcd, options) => etcd.leaseClient.leaseTimeToLive({ ID: this.lease, keys: true }, options),
      { urgent: true, optional: true, patience: Math.max(this.members.patience, LIST_MS) },
    );
    const listed = keys.map(claimOf);
    const owners = new Set(listed.map(({ owner }) => owner));
    // The leader lists them from its memory and may be a moment behind, so what is missing is asked for by name.
    const missing = held.filter(({ owner }) => !owners.has(owner));
    return [...listed, ...(await this.#thereAmong(missing))];
  }

  async #thereAmong(claims: readonly Claim[]): Promise<readonly Pick<Claim, 'key' | 'owner'>[]> {
    const answers = await Promise.all(
      transactionsOf(claims.map(own)).map((transaction) =>
        this.members.call((etcd, options) => etcd.kv.txn(transaction, options), { urgent: true }),
      ),
    );
    const there = answers.flatMap((answer) => found(answer)).filter(({ lease }) => lease === this.lease);
    return there.map(({ key }) => claimOf(key));
  }

  async end(): Promise<void> {
    await revoke(this.members, this.lease);
  }
}

/** Ends a lease and whatever hangs from it. */
export async function revoke(members: Members, lease: string): Promise<void> {
  try {
    await members.call((etcd, options) => etcd.leaseClient.leaseRevoke({ ID: lease }, options), { urgent: true });
  } catch (error) {
    if (!isLeaseGone(error)) throw error;
  }
}

export const isLeaseGone = (error: unknown): boolean =>
  error instanceof Error && error.message.includes('requested lease not found');

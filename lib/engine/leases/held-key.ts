import type { Claim } from '../../backends/backend.js';
import type { Lease } from './lease.js';

/** One key of a lock that is held. */
export interface HeldKey {
  /** The key as the user wrote it. */
  readonly key: string;
  readonly claim: Claim;
  readonly lease: Lease;
  readonly fencingToken: bigint | undefined;
}

/** Its claim, with the longest ttl that the server may keep it for. */
export const forItsLongest = ({ claim, lease }: Pick<HeldKey, 'claim' | 'lease'>): Claim =>
  lease.longest > claim.ttl ? { ...claim, ttl: lease.longest } : claim;

import type { Claim } from '../../backends/backend.js';
import type { Family } from '../leases/family.js';
import type { ReleaseRetries } from '../asking/release-retries.js';

/**
 * The key that probes take for a moment. All processes use the same key, so that probes leave nothing behind. A busy key proves as much as
 * a grant does.
 */
export const PROBE_KEY = 'nestjs-distributed-lock:ping';

/** How long an unconfirmed probe is taken back, in milliseconds beyond its lease. */
const LATEST_MS = 1_000;

/**
 * Takes a lock for a moment and gives it back, which needs the same rights as any lock. It emits no lock events.
 * @throws the server's error, or that the server did not answer
 */
export async function probe(family: Family, retries: ReleaseRetries, claim: Claim): Promise<void> {
  const release = (): Promise<boolean> => family.release(claim, 0, []);
  let answer;
  try {
    answer = await family.attempt(claim);
  } catch (error) {
    // The grant may be ours all the same.
    retries.expect(retries.release(release, claim.ttl + LATEST_MS, () => undefined));
    throw error;
  }
  if (!answer.granted) return;
  let failure: { readonly error: unknown } | undefined;
  await retries.release(release, claim.ttl + LATEST_MS, (error) => (failure = { error }));
  if (failure) throw failure.error;
}

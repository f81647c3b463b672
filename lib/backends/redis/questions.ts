import type { Claim } from '../backend.js';
import { whole } from './link.js';
import { RELEASES, TAKES_OVER } from './protocol/index.js';

interface Asked {
  /** The keys of the lock, as the script takes them. */
  readonly keys: readonly string[];
  readonly owner: string;
  /** In a cluster: where the scripts find the inboxes of the key's slot. */
  readonly inboxes: string | undefined;
}

export interface AttemptQuestion extends Asked {
  readonly verb: 'attempt';
  readonly claim: Pick<Claim, 'mode' | 'limit' | 'ttl' | 'claimTtl'>;
  /** Whether the owner joins the line when the key is busy. */
  readonly joins: boolean;
}

export interface ReleaseQuestion extends Asked {
  readonly verb: 'release';
  readonly keepMs: number;
  /** The earlier owners of this process that the server may still have as the holder. */
  readonly from: readonly string[];
}

export interface TakeOverQuestion extends Asked {
  readonly verb: 'takeOver';
  readonly ttl: number;
  readonly fencingToken: bigint;
  /** As for a release. */
  readonly from: readonly string[];
}

/** What is asked of the server about one lock. It becomes arguments only when it is sent. */
export type Question = AttemptQuestion | ReleaseQuestion | TakeOverQuestion;

/** The arguments of the verb's own script. It reads a missing one as its default, so the defaults at the end are not sent. */
export function argumentsAlone(question: Question): readonly string[] {
  if (question.verb !== 'release') {
    const together = argumentsTogether(question);
    return question.inboxes === undefined ? together : [...together, question.inboxes];
  }
  const { owner, keepMs, from, inboxes } = question;
  if (inboxes !== undefined) return [owner, whole(keepMs), numbersOf(from), inboxes];
  if (from.length > 0) return [owner, whole(keepMs), numbersOf(from)];
  return keepMs > 0 ? [owner, whole(keepMs)] : [owner];
}

/** Its three arguments in a script for several questions. */
export function argumentsTogether(question: Question): readonly [owner: string, ms: string, what: string] {
  const { owner } = question;
  switch (question.verb) {
    case 'attempt': {
      const { claim, joins } = question;
      return [owner, whole(claim.ttl), `${letter(claim)} ${claim.limit} ${whole(claim.claimTtl)} ${joins ? 1 : 0}`];
    }
    case 'release':
      return [owner, whole(question.keepMs), RELEASES + numbersOf(question.from)];
    default:
      return [owner, whole(question.ttl), `${TAKES_OVER} ${question.fencingToken}${numbersOf(question.from)}`];
  }
}

/** The sort of lock, as the scripts take it. */
export const letter = ({ limit, mode }: Pick<Claim, 'limit' | 'mode'>): 'x' | 's' | 'p' =>
  limit > 1 ? 'p' : mode === 'shared' ? 's' : 'x';

/** Owners of one process, as the scripts take them: the part that follows the name of the process. */
const numbersOf = (owners: readonly string[]): string =>
  owners.length === 0 ? '' : ` ${owners.map((owner) => owner.slice(owner.lastIndexOf(':') + 1)).join(' ')} `;

import type { LockMode } from '../../backends/backend.js';

/**
 * One hold of one key, seen from outside. All times are milliseconds of one clock and err in favour of the lock: `from` is
 * taken after it was given, `to` before it was handed back, so that an overlap of two holds is a real one.
 */
export interface Hold {
  readonly key: string;
  readonly owner: string;
  readonly mode: LockMode;
  readonly limit: number;
  readonly fencingToken: bigint | undefined;
  /** When the lock was asked for. */
  readonly asked: number;
  /** When the call certainly stood in the server's line; undefined where that is unknown, or it never waited. */
  readonly queued: number | undefined;
  readonly from: number;
  readonly to: number;
}

/** What the lock promised beyond exclusion, which always counts. */
export interface HistoryRules {
  /** Whoever certainly stood in line before another asked is served before that other. */
  readonly fifo: boolean;
  /** Every hold carries a token, and tokens grow with every grant. */
  readonly fencing: boolean;
}

/**
 * Judges a history by itself, knowing neither the engine nor a backend.
 * @returns a sentence for each violation; none for a history that a correct lock can have made
 */
export function violations(history: readonly Hold[], rules: HistoryRules): string[] {
  const byKey = new Map<string, Hold[]>();
  for (const hold of history) {
    const holds = byKey.get(hold.key);
    if (holds) holds.push(hold);
    else byKey.set(hold.key, [hold]);
  }
  return [...byKey.values()].flatMap((holds) => {
    holds.sort((one, other) => one.from - other.from);
    return [
      ...overlaps(holds),
      ...(rules.fencing ? tokensOutOfOrder(holds) : []),
      ...(rules.fifo ? overtakings(holds) : []),
    ];
  });
}

/** Writers beside anybody, more holders than permits, holders who disagree on how many there are. */
function overlaps(holds: readonly Hold[]): string[] {
  const found: string[] = [];
  let inside: Hold[] = [];
  for (const hold of holds) {
    inside = inside.filter((other) => other.to > hold.from);
    const stranger = inside.find((other) => other.mode !== hold.mode);
    const dissenter = inside.find((other) => other.limit !== hold.limit);
    inside.push(hold);
    if (stranger) found.push(`${name(hold)} came in beside ${name(stranger)}.`);
    else if (hold.mode === 'exclusive' && dissenter)
      found.push(`${name(hold)} and ${name(dissenter)} disagree about the limit.`);
    else if (hold.mode === 'exclusive' && inside.length > hold.limit) {
      found.push(`${inside.length} were inside at once: ${inside.map(name).join(', ')}.`);
    }
  }
  return found;
}

/** One held before another was even asked for, so it was granted earlier, so its token is smaller. */
function tokensOutOfOrder(holds: readonly Hold[]): string[] {
  const found: string[] = [];
  const seen = new Map<bigint, Hold>();
  for (const hold of holds) {
    if (hold.fencingToken === undefined) {
      found.push(`${name(hold)} has no fencing token.`);
      continue;
    }
    const twin = seen.get(hold.fencingToken);
    if (twin) found.push(`${name(twin)} and ${name(hold)} have one token.`);
    seen.set(hold.fencingToken, hold);
  }
  for (const [earlier, later] of pairs(holds, (one, other) => one.from < other.asked || apart(one, other))) {
    if (earlier.fencingToken === undefined || later.fencingToken === undefined) continue;
    if (earlier.fencingToken > later.fencingToken)
      found.push(`${name(later)} came after ${name(earlier)} with a smaller token.`);
  }
  return found;
}

/**
 * Someone who asked when another already stood in line was served first. Who was served first is told by the tokens; without
 * them only by a hold that was over before the other began, for grants made together may be heard of in any order; and of two readers,
 * who are let in together, not even by that.
 */
function overtakings(holds: readonly Hold[]): string[] {
  const servedFirst = (one: Hold, other: Hold) =>
    one.fencingToken !== undefined && other.fencingToken !== undefined
      ? one.fencingToken < other.fencingToken
      : one.to <= other.from && !(one.mode === 'shared' && other.mode === 'shared');
  const found: string[] = [];
  for (const [patient, pushy] of pairs(holds, (one, other) => one.queued !== undefined && one.queued < other.asked)) {
    if (servedFirst(pushy, patient)) {
      found.push(`${name(pushy)} overtook ${name(patient)}, which stood in line from ${time(patient.queued)}.`);
    }
  }
  return found;
}

/** Two that could not be inside together and were not: the one that ended first was granted first. */
function apart(one: Hold, other: Hold): boolean {
  const alone = one.mode === 'exclusive' || other.mode === 'exclusive';
  return alone && one.limit === 1 && one.to <= other.from;
}

function* pairs(holds: readonly Hold[], related: (one: Hold, other: Hold) => boolean): Generator<[Hold, Hold]> {
  for (const one of holds) {
    for (const other of holds) if (one !== other && related(one, other)) yield [one, other];
  }
}

function name(hold: Hold): string {
  const kind = hold.limit > 1 ? `permit of ${hold.limit}` : hold.mode === 'shared' ? 'reader' : 'writer';
  const token = hold.fencingToken === undefined ? '' : ` #${hold.fencingToken}`;
  return `${kind} ${hold.owner}${token} [${time(hold.from)}–${time(hold.to)}]`;
}

function time(milliseconds: number | undefined): string {
  return `${(milliseconds ?? 0).toFixed(1)} ms`;
}

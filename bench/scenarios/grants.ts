import { percentile } from '../report/statistics.js';

/** What happened in one process: who asked, got and let go, when. */
export interface Grants {
  /** Flat, four numbers each: waiter, asked, granted, let go. */
  readonly log: Float64Array;
  /** For each waiter since when it waits in the end; 0 if it does not. */
  readonly waitingSince: Float64Array;
}

export interface Verdict {
  readonly acquisitions: number;
  /** Acquisitions by another waiter than the one before. */
  readonly handOvers: number;
  readonly betweenProcesses: number;
  readonly wait50: number;
  readonly wait99: number;
  /** Acquisitions of the waiter that had fewest, and most. */
  readonly fewest: number;
  readonly most: number;
  /** Waiters that had none. */
  readonly starved: number;
  /** Grants that overtook somebody who had been waiting for longer, by more than a millisecond. */
  readonly overtakenPercent: number;
  /** Grants before the one before was let go: must be none. */
  readonly overlaps: number;
}

/** Asking and standing in line are not the same moment; below this nobody can say who was first. */
const TOLERANCE_MS = 1;

/** Looks at the grants of all processes between two moments. */
export function judge(processes: readonly Grants[], from: number, to: number): Verdict {
  const waitersEach = processes[0]?.waitingSince.length ?? 0;
  const waiters = waitersEach * processes.length;
  const all: { waiter: number; asked: number; granted: number; letGo: number }[] = [];
  for (const { log } of processes) {
    for (let i = 0; i + 3 < log.length; i += 4) {
      all.push({ waiter: log[i]!, asked: log[i + 1]!, granted: log[i + 2]!, letGo: log[i + 3]! });
    }
  }
  all.sort((a, b) => a.granted - b.granted);

  // For each waiter, when it asked for what it has not got yet: walked along with the grants.
  const asks = Array.from({ length: waiters }, () => [] as number[]);
  for (const { waiter, asked } of all) asks[waiter]!.push(asked);
  processes.forEach(({ waitingSince }, index) => {
    waitingSince.forEach((since, waiter) => since > 0 && asks[index * waitersEach + waiter]!.push(since));
  });
  const next = new Int32Array(waiters);

  const counts = new Int32Array(waiters);
  const waits: number[] = [];
  let handOvers = 0;
  let betweenProcesses = 0;
  let overtakings = 0;
  let overlaps = 0;
  let before: (typeof all)[number] | undefined;
  for (const grant of all) {
    next[grant.waiter]!++;
    if (grant.granted >= from && grant.granted < to) {
      counts[grant.waiter]!++;
      waits.push(grant.granted - grant.asked);
      if (before && before.letGo > grant.granted) overlaps++;
      if (before && before.waiter !== grant.waiter) {
        handOvers++;
        if (Math.floor(before.waiter / waitersEach) !== Math.floor(grant.waiter / waitersEach)) betweenProcesses++;
      }
      if (asks.some((times, waiter) => (times[next[waiter]!] ?? Infinity) < grant.asked - TOLERANCE_MS)) overtakings++;
    }
    before = grant;
  }
  return {
    acquisitions: waits.length,
    handOvers,
    betweenProcesses,
    wait50: percentile(waits, 0.5),
    wait99: percentile(waits, 0.99),
    fewest: Math.min(...counts),
    most: Math.max(...counts),
    starved: counts.filter((count) => count === 0).length,
    overtakenPercent: (overtakings / waits.length) * 100,
    overlaps,
  };
}

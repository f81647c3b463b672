import type { LockMode } from '../../lib/backends/backend.js';
import type { Lock } from '../../lib/lock/lock.js';
import { shortOwner, type Simulated } from './process.js';
import type { WitnessedTable } from './witness.js';

/** Somebody who works under a lock. */
export interface Belief {
  readonly process: Simulated;
  readonly lock: Lock;
  readonly limit: number;
  /** Weaker than the lock's own while a downgrade is on its way or unanswered. */
  mode: LockMode;
  /** The longest lease that was asked for, in milliseconds. */
  lease: number;
  /** Whether the lock's signal said that it is lost. */
  told: boolean;
}

/** Who believes at this moment to hold what, and whether they can all be right. Knows nothing of how the engine comes to it. */
export class Beliefs {
  readonly #beliefs = new Set<Belief>();

  constructor(
    private readonly table: Pick<WitnessedTable, 'has' | 'wasForced' | 'wipedAt'>,
    private readonly report: (violation: string) => void,
    private readonly serverTime: () => number,
  ) {}

  /** Somebody begins to work. */
  enter(process: Simulated, lock: Lock, limit: number): Belief {
    const belief: Belief = { process, lock, limit, mode: lock.mode, lease: Infinity, told: false };
    lock.signal.addEventListener('abort', () => (belief.told = true), { once: true });
    this.#beliefs.add(belief);
    if (!lock.held && !belief.told) this.report(`${name(belief)} was given and is not held`);
    for (const key of lock.keys)
      if (lock.fencingTokens.get(key) === undefined) this.report(`${name(belief)} has no token for ${key}`);
    return belief;
  }

  leave(belief: Belief): void {
    this.#beliefs.delete(belief);
  }

  get size(): number {
    return this.#beliefs.size;
  }

  /** No two are sure of the same key, unless they may hold it together; called after every step. */
  check(): void {
    if (this.#beliefs.size < 2) return;
    const byKey = new Map<string, Belief[]>();
    for (const belief of this.#beliefs) {
      if (belief.told || !belief.process.clock.alive) continue;
      for (const key of belief.lock.keys) {
        const token = belief.lock.fencingTokens.get(key);
        if (this.table.wasForced(key, token) || this.table.wipedAt(key, token) !== undefined) continue;
        const together = byKey.get(key);
        if (together) together.push(belief);
        else byKey.set(key, [belief]);
      }
    }
    for (const [key, together] of byKey) if (!compatible(together)) this.#conflict(key, together);
  }

  /**
   * The server still has what is held, wherever somebody would have been told by now that it does not: loss is told before the
   * lease ends. Called now and then, for it costs more.
   */
  checkServer(): void {
    for (const belief of this.#beliefs) {
      const { lock, process, told } = belief;
      if (told || !process.clock.upToDate) continue;
      for (const [key, token] of lock.fencingTokens) {
        if (this.table.wasForced(key, token) || this.table.has(key, process.engine.instance, token)) continue;
        // Whoever lost it to a restart learns that from the next renewal, or when its lease ends here.
        const wipedAt = this.table.wipedAt(key, token) ?? -Infinity;
        if (this.serverTime() - wipedAt < belief.lease * 1.02 + 100) continue;
        this.report(`${name(belief)} has ended on the server, and nobody was told`);
      }
    }
  }

  #conflict(key: string, together: readonly Belief[]): void {
    // Asked only here, for a look at `held` may itself tell of the loss, which is what timers and answers should have done.
    const sure = together.filter(({ lock }) => lock.held);
    if (!compatible(sure)) this.report(`${key} is held by ${sure.map(name).join(' and by ')}`);
    for (const belief of together) {
      if (sure.includes(belief) || !belief.process.clock.upToDate) continue;
      this.report(`${key}: ${name(belief)} had lost it, another got it, and nobody was told`);
    }
  }
}

/** Readers together, writers alone, permits up to the limit. */
function compatible(beliefs: readonly Belief[]): boolean {
  const [first] = beliefs;
  if (!first || beliefs.length === 1) return true;
  if (beliefs.some(({ limit }) => limit !== first.limit)) return false;
  if (first.limit > 1) return beliefs.length <= first.limit;
  return beliefs.every(({ mode }) => mode === 'shared');
}

function name({ process, lock, mode }: Belief): string {
  const tokens = [...lock.fencingTokens].map(([key, token]) => `${key} #${token}`).join(', ');
  return `${process.name}:${shortOwner(lock.owner)} (${mode}, ${tokens})`;
}

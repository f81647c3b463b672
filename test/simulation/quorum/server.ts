import type { Claim, KeyBackend } from '../../../lib/backends/backend.js';
import { memoryTraits } from '../../../lib/backends/memory/index.js';
import { LockTable } from '../../../lib/backends/memory/lock-table.js';
import type { VirtualClock } from '../virtual-clock.js';

/**
 * A model of one server of a quorum: a table of locks with a clock of its own, which may be restarted with its data or empty. Restarted empty
 * it gives no votes for `guardMs`, as a Redis with `restartGuard`.
 */
export class QuorumServer {
  #table: LockTable;
  #votesAgainAt = -Infinity;

  constructor(
    readonly name: string,
    private readonly clock: VirtualClock,
    private readonly guardMs: number,
    private readonly trace: (line: string) => void,
    /** Where its counter of tokens begins. */
    firstToken: bigint,
  ) {
    this.#table = newTable(clock, firstToken);
  }

  restartEmpty(): void {
    this.#table = newTable(this.clock, BigInt(Math.ceil(this.clock.now() * 1_000)));
    this.#votesAgainAt = this.clock.now() + this.guardMs;
  }

  /** Keys that take memory. */
  get size(): number {
    return this.#table.size;
  }

  /** What is left of this key. */
  left(key: string): number {
    const { holders, waiting } = this.#table.inspect(key);
    return holders.length + waiting;
  }

  /** The view of one process. */
  backend(): KeyBackend {
    const release = async (claim: Claim, from: readonly string[], keepMs?: number): Promise<boolean> => {
      const held = this.#table.release(claim, keepMs, from);
      this.#note('release', claim, held ? 'held' : 'gone');
      return held;
    };
    return {
      family: 'key',
      kind: 'model',
      address: this.name,
      traits: memoryTraits,
      ping: async () => {},
      attempt: async (claim, waiter) => {
        const left = this.#votesAgainAt - this.clock.now();
        if (left > 0) throw new Error(`restarted empty, no votes for ${left.toFixed(0)} ms more`);
        const answer = this.#table.attempt(claim, waiter);
        this.#note(waiter ? 'attempt in line' : 'attempt', claim, answer.granted ? 'granted' : 'busy');
        return answer;
      },
      renew: async (claims) => {
        const answers = this.#table.renew(claims);
        for (const [index, claim] of claims.entries()) this.#note('renew', claim, answers[index] ? 'held' : 'gone');
        return answers;
      },
      release: (claim, keepMs) => release(claim, [], keepMs),
      downgrade: async (claim) => this.#table.downgrade(claim),
      handOver: {
        takeOver: async (claim, from, token) => this.#table.takeOver(claim, from, token),
        release,
      },
      inspect: async (key) => this.#table.inspect(key),
      forceRelease: async (key) => this.#table.forceRelease(key).length > 0,
      close: async () => {},
    };
  }

  #note(verb: string, { key, owner, ttl }: Claim, answer: string): void {
    this.trace(`    ${this.name}: ${verb} ${key} ${owner.slice(owner.lastIndexOf(':') - 4)} for ${ttl}: ${answer}`);
  }
}

/** A table whose counter goes on from there. */
function newTable(clock: VirtualClock, token: bigint): LockTable {
  const table = new LockTable(() => clock.now());
  const claim = { key: 'counter', owner: 'model:0', mode: 'exclusive', limit: 1, ttl: 1, claimTtl: 1 } as const;
  table.attempt(claim);
  table.takeOver(claim, [], token);
  table.release(claim);
  return table;
}

import type { Waiter } from '../backend.js';
import type { Crowd } from '../sql/crowd.js';

interface Expected {
  readonly owner: string;
  readonly key: string;
  readonly waiter: Waiter;
  /** Whether an answer may have been lost that concerned it, since it was last answered itself. */
  doubtful: boolean;
  /** How often it asked. */
  asked: number;
}

/** Those of this process who wait, by their owners. */
export class Inbox {
  readonly #waiters = new Map<string, Expected>();
  readonly #listeners = new Set<(owner: string) => void>();

  constructor(private readonly crowd: Crowd) {}

  /** From here on pushes for this owner reach the waiter. */
  expect(key: string, owner: string, waiter: Waiter): void {
    const { doubtful = false, asked = 0 } = this.#waiters.get(owner) ?? {};
    this.#waiters.set(owner, { owner, key, waiter, doubtful, asked });
  }

  /** Whether this waiter, or any, is the one that pushes for the owner go to. */
  expects(owner: string, waiter = this.#waiters.get(owner)?.waiter): boolean {
    return waiter !== undefined && this.#waiters.get(owner)?.waiter === waiter;
  }

  /** How often this owner was told that it has to wait, this time included. */
  answered(owner: string): number {
    const expected = this.#waiters.get(owner);
    if (!expected) return 0;
    expected.doubtful = false;
    return ++expected.asked;
  }

  forget(owner: string): void {
    const expected = this.#waiters.get(owner);
    if (!expected) return;
    this.#waiters.delete(owner);
    this.crowd.left(expected.key, owner);
  }

  /**
   * An answer for this key was lost, and with it maybe grants to those who wait for it here: they look. Once, for who looks in
   * vain asks again by itself; and not who asked, for it knows.
   */
  missed(key: string, asker?: string): void {
    this.crowd.doubt();
    for (const expected of this.#waiters.values()) {
      if (expected.doubtful || expected.key !== key) continue;
      expected.doubtful = true;
      if (expected.owner !== asker) expected.waiter.look();
    }
  }

  /** What was pushed until now may be lost, or it is known now whether pushes arrive: everybody looks. */
  lookAll(): void {
    this.crowd.doubt();
    for (const { waiter } of [...this.#waiters.values()]) waiter.look();
  }

  grant(owner: string, fencingToken: bigint, at: number): void {
    const expected = this.#waiters.get(owner);
    this.forget(owner);
    expected?.waiter.granted({ granted: true, fencingToken, at });
  }

  onLost(listener: (owner: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  lost(owner: string): void {
    for (const listener of this.#listeners) listener(owner);
  }

  /** `g <owner> <token> <server µs>` granted, `l <owner>` look again, `x <owner>` taken away. */
  receive(message: string): void {
    const [verb, owner = '', token = '0', at = '0'] = message.split(' ');
    if (verb === 'g') this.grant(owner, BigInt(token), Number(at) / 1000);
    else if (verb === 'l') this.#look(owner);
    else if (verb === 'x') this.lost(owner);
  }

  #look(owner: string): void {
    const expected = this.#waiters.get(owner);
    if (!expected) return;
    this.crowd.left(expected.key, owner);
    expected.waiter.look();
  }
}

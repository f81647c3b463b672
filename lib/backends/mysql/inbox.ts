import type { Claim, Grant, Waiter } from '../backend.js';
import type { Crowd } from '../sql/crowd.js';
import { Listener, type Open } from './listener.js';
import type { Row } from './client.js';
import type { Names } from './schema/index.js';

/** The process that an owner belongs to: all before the last colon. */
export const instanceOf = (owner: string): string => owner.slice(0, owner.lastIndexOf(':'));

interface Expected {
  readonly claim: Claim;
  readonly waiter: Waiter;
  /** How often it was told to look again without an inbox. */
  looks: number;
}

/** How long one who waits for the first time waits for the connections that wake it, in milliseconds: well within the limit of a question. */
const RISING_MS = 200;

/** How others reach one process. */
interface Ear {
  listener: Listener | undefined;
  state: 'rising' | 'up' | 'down' | 'deaf';
  readonly settled: Promise<void>;
}

/** Who waits in this process, and where what the server says of them arrives. */
export class Inbox {
  readonly #waiters = new Map<string, Expected>();
  readonly #ears = new Map<string, Ear>();
  readonly #victims = new Set<(owner: string) => void>();
  #refusal: Error | undefined;
  #closed = false;

  constructor(
    private readonly names: Names,
    private readonly open: () => Promise<Open>,
    private readonly ask: (sql: string) => Promise<readonly Row[]>,
    private readonly crowd: Crowd,
  ) {}

  /** Why pushes do not arrive, where they cannot. */
  get refusal(): Error | undefined {
    return this.#refusal;
  }

  /**
   * Whether pushes reach this process. Asked for the first time, it opens the connections that it takes; until they stand, and where they
   * cannot, a waiter stands in line all the same, and looks often.
   */
  hears(instance: string): boolean {
    const ear = this.#ears.get(instance);
    if (ear) return ear.state === 'up' || ear.state === 'down';
    void this.#listen(instance);
    return false;
  }

  /** Resolves when the connections stand, or cannot, or take too long: then it is better to look for oneself meanwhile. */
  async settled(instance: string): Promise<void> {
    await this.#ears.get(instance)?.settled;
  }

  /** Whether this waiter, or any, is the one that pushes for the owner go to. */
  expects(owner: string, waiter = this.#waiters.get(owner)?.waiter): boolean {
    return waiter !== undefined && this.#waiters.get(owner)?.waiter === waiter;
  }

  /** From here on pushes for this owner reach the waiter. */
  expect(claim: Claim, waiter: Waiter): void {
    const looks = this.#waiters.get(claim.owner)?.looks ?? 0;
    this.#waiters.set(claim.owner, { claim, waiter, looks });
  }

  forget(owner: string): void {
    const expected = this.#waiters.get(owner);
    if (!expected) return;
    this.#waiters.delete(owner);
    this.crowd.left(expected.claim.key, owner);
  }

  /** How many looks it took so far. */
  looked(owner: string): number {
    const expected = this.#waiters.get(owner);
    return expected ? expected.looks++ : 0;
  }

  onLost(listener: (owner: string) => void): () => void {
    this.#victims.add(listener);
    return () => this.#victims.delete(listener);
  }

  lost(owner: string): void {
    for (const tell of this.#victims) tell(owner);
  }

  close(): void {
    this.#closed = true;
    for (const { listener } of this.#ears.values()) listener?.close();
    this.#ears.clear();
  }

  async #listen(instance: string): Promise<void> {
    let settle: () => void = () => undefined;
    const settled = new Promise<void>((resolve) => (settle = resolve));
    const ear: Ear = { listener: undefined, state: 'rising', settled };
    let late = false;
    const patience = setTimeout(() => {
      late = true;
      settle();
    }, RISING_MS);
    this.#ears.set(instance, ear);
    const open = await this.open().catch(() => undefined);
    if (this.#closed) return clearTimeout(patience);
    if (!open) {
      // The attempt that comes with it fails as well, and the next one tries again.
      this.#ears.delete(instance);
      clearTimeout(patience);
      settle();
      return;
    }
    ear.listener = new Listener(instance, this.names, open, this.ask, {
      received: (messages) => messages.forEach((message) => this.#receive(message)),
      up: () => {
        // The first time, those who wait ask by themselves, unless they were answered before this: as if nobody could wake them.
        const missed = late || ear.state !== 'rising';
        late = false;
        ear.state = 'up';
        clearTimeout(patience);
        settle();
        this.#refusal = undefined;
        if (missed) this.#lookAll(instance);
      },
      down: (refusal) => {
        if (refusal) {
          this.#refusal = refusal;
          ear.state = 'deaf';
          clearTimeout(patience);
          settle();
          // They stood in line as if they were pushed to.
          this.#lookAll(instance);
        } else if (ear.state === 'up') {
          ear.state = 'down';
        }
      },
    });
    ear.listener.start();
  }

  #lookAll(instance: string): void {
    this.crowd.doubt();
    for (const { claim, waiter } of [...this.#waiters.values()])
      if (instanceOf(claim.owner) === instance) waiter.look();
  }

  /** See the inbox's table. */
  #receive(message: string): void {
    const [verb, owner = '', token = '0', at = '0'] = message.split(' ');
    const expected = this.#waiters.get(owner);
    if (verb === 'g') {
      this.forget(owner);
      const grant: Grant = { granted: true, fencingToken: BigInt(token), at: Number(at) / 1000 };
      expected?.waiter.granted(grant);
    } else if (verb === 'l') {
      if (expected) this.crowd.left(expected.claim.key, owner);
      expected?.waiter.look();
    }
    if (verb === 'x') this.lost(owner);
  }
}

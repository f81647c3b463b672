/** The lease of every contender's locks, in milliseconds, so that none renews or expires sooner than another. */
export const LEASE_MS = 10_000;
/** What `tuned` means for a library that polls: this often, in milliseconds, and without giving up. */
export const TUNED_POLL_MS = 10;

export type Release = () => Promise<unknown>;

/** A library's lock as the bench drives it. */
export interface Locker {
  /** Waits for the key; resolves to how to let go. Rejects when the library gives up, as its settings have it. */
  acquire(key: string): Promise<Release>;
  /** As `acquire`, and the lock is kept alive until it is let go: where that is another call of the library. */
  hold?(key: string): Promise<Release>;
  /** Opens what so many waiters need, and makes the keys usable if `first`: once over all processes. */
  prepare?(keys: readonly string[], waiters: number, first: boolean): Promise<void>;
  close(): Promise<void>;
}

export interface Contender {
  readonly name: string;
  /** What it is and how it is set, for the reader of the table. */
  readonly about: string;
  /** Ours, something that is no lock library but the least that the server can do, or a library that users pick. */
  readonly kind: 'ours' | 'floor' | 'peer';
  /** How a waiter learns that it is its turn: it asks again and again; it is told with all others and then asks; it is told that it has it. */
  readonly waits: 'polls' | 'woken' | 'handed';
  readonly tuned?: boolean;
  /** Whether it keeps a lock alive by itself. */
  readonly renews?: boolean;
  /** The only scenario that it takes part in; all of them if left out. */
  readonly only?: string;
  /**
   * The commands it sends, as the server counts them. A number is the share that it sends itself, where its scripts run the same
   * command. Checked with MONITOR.
   */
  readonly sends: Readonly<Record<string, number>>;
  open(port: number): Promise<Locker>;
}

import type { LockBackend } from '../../backends/backend.js';

/** The words of the test runner: those of vitest, of Jest, or of `node:test` (with `beforeAll: before, afterAll: after`). */
export interface TestHarness {
  describe(name: string, body: () => void): unknown;
  it: {
    (name: string, body: () => Promise<void>): unknown;
    skip(name: string, body: () => Promise<void>): unknown;
  };
  beforeAll(body: () => Promise<void>): unknown;
  afterAll(body: () => Promise<void>): unknown;
}

/** How the suite reaches a backend and its server. */
export interface BackendFixture {
  /** Starts the server, once for the suite. */
  start?(): Promise<void>;
  stop?(): Promise<void>;
  /** The backend as one more process would make it, on the same server as all others. */
  create(): Promise<LockBackend> | LockBackend;
  /**
   * A short lease in milliseconds that the server keeps faithfully; at least the `minTtl` of the backend. Most of the suite's
   * time is spent in waiting for such leases to end.
   */
  readonly ttl: number;
  /** One round trip to the server in milliseconds, for servers that are far away. @default 0 */
  readonly rtt?: number;
  /**
   * Whether fencing tokens grow on when the server has lost its data, because they come from a clock and not from the data.
   * @default false
   */
  readonly tokensOutliveData?: boolean;
  /** What can be done to the server. A test that needs a fault which is not here is left out. */
  readonly faults?: Faults;
}

/** A `fullKey` is the key as the backend gets it. */
export interface Faults {
  /** Deletes all that the server knows of the holders of a key, behind everybody's back. */
  steal?(fullKey: string): Promise<void>;
  /** The server stops to answer and keeps all connections open. */
  pause?(): Promise<void>;
  resume?(): Promise<void>;
  /** Resolves when the server answers again, on the same address. */
  restart?(options: { keepData: boolean }): Promise<void>;
  /** Cuts every connection to the server; new ones are let in. */
  cutConnections?(): Promise<void>;
  /** Loses the server that granted the locks, and lets its successor take over. A must where `traits.survivesFailover`. */
  failover?(): Promise<void>;
  /** Names all that is left on the server, apart from what ends by itself, such as counters that expire. */
  residue?(): Promise<string[]>;
}

/** The name of a fault that a fixture can bring about. */
export type Fault = keyof Faults;

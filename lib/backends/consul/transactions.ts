import type { ConsulClient } from './client.js';
import { ConsulError } from './client.js';
import { read } from './json.js';
import type { Entry } from './layout.js';

/** One operation on one key. All of a transaction are done, or none. */
export interface Operation {
  readonly Verb:
    | 'lock'
    | 'unlock'
    | 'set'
    | 'get-tree'
    | 'delete'
    | 'check-index'
    | 'check-session'
    | 'check-not-exists';
  readonly Key: string;
  readonly Value?: string;
  readonly Session?: string;
  readonly Index?: number;
  /** All digits of it. */
  readonly Flags?: string;
}

/** What one claim wants of a transaction, which it may share with others. */
export interface Part {
  /** Two parts with one of these keys in common never share a transaction. */
  readonly key: string;
  /** `again`: an earlier request with this part may have reached the server. */
  build(again: boolean): readonly Operation[];
  /** Whether the answer still matters, asked when the part could be sent. @default always */
  wanted?(): boolean;
}

export type Outcome =
  | { readonly done: true; readonly entries: readonly Entry[] }
  /** Nothing was done. For each operation that failed why, in Consul's words. */
  | { readonly done: false; readonly failed: ReadonlyMap<Operation, string>; readonly again: boolean };

interface Waiting {
  readonly part: Part;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

/** The server takes 64 operations in one transaction. So many are gathered, with room for one more part and for what a repetition adds. */
const FULL = 56;
/** So many are on their way at once. What waits meanwhile goes together: the server writes them one after another anyway. */
const MOST_ON_THE_WAY = 4;
/** The server takes 512 KiB. So many characters of keys are gathered, with room for what UTF-8 and JSON add. */
const LARGEST = 100_000;

/**
 * Transactions to one cluster, each for as many parts as were asked for in one turn of the event loop. One that comes alone, while
 * nothing is on its way, goes at once.
 */
export class Transactions {
  #onTheWay = 0;
  #gathered: Waiting[] = [];

  /** @param reading all parts only read, so a server need not write to its log */
  constructor(
    private readonly client: ConsulClient,
    private readonly reading: boolean,
  ) {}

  run(part: Part): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const waiting = { part, resolve, reject };
      if (this.#onTheWay === 0 && this.#gathered.length === 0) void this.#send([waiting]);
      else if (this.#gathered.push(waiting) === 1) process.nextTick(() => this.#sendGathered());
    });
  }

  #sendGathered(): void {
    while (this.#gathered.length > 0 && this.#onTheWay < MOST_ON_THE_WAY) {
      const [batch, rest] = firstBatch(this.#gathered);
      this.#gathered = rest;
      if (batch.length > 0) void this.#send(batch);
    }
  }

  async #send(batch: readonly Waiting[], earlier = false): Promise<void> {
    this.#onTheWay++;
    let again = earlier;
    let operations: readonly Operation[] = [];
    let parts: readonly (readonly Operation[])[] = [];
    try {
      const { status, text } = await this.client.ask(
        (resent) => {
          again = earlier || resent;
          parts = batch.map(({ part }) => part.build(again));
          operations = withoutRepetition(parts);
          const body = operations.map((KV) => ({ KV }));
          return { method: 'PUT', path: '/txn', body, ...(this.reading && { query: { consistent: '' } }) };
        },
        [200, 409],
      );
      const { Results, Errors } = read(text) as Answer;
      if (status === 200) {
        const entries = (Results ?? []).map(({ KV }) => KV);
        for (const { resolve } of batch) resolve({ done: true, entries });
        return;
      }
      const failed = new Map<string, string>();
      for (const { OpIndex, What } of Errors ?? []) {
        if (What.includes('Permission denied')) throw new ConsulError(status, What, 'the server');
        const operation = operations[OpIndex];
        if (operation) failed.set(identity(operation), What);
      }
      this.#refused(batch, parts, failed, again);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      this.#onTheWay--;
      // Those who were answered may ask for more, which goes together with what has waited.
      if (this.#gathered.length > 0) process.nextTick(() => this.#sendGathered());
    }
  }

  /** Tells those whose operations failed. Nothing was done for the others either, and they are sent again without them. */
  #refused(
    batch: readonly Waiting[],
    parts: readonly (readonly Operation[])[],
    failures: ReadonlyMap<string, string>,
    again: boolean,
  ): void {
    const others: Waiting[] = [];
    for (const [index, waiting] of batch.entries()) {
      const failed = new Map<Operation, string>();
      for (const operation of parts[index] ?? []) {
        const why = failures.get(identity(operation));
        if (why !== undefined) failed.set(operation, why);
      }
      if (failed.size > 0) waiting.resolve({ done: false, failed, again });
      else others.push(waiting);
    }
    if (others.length === batch.length)
      throw new Error('Consul refused a transaction and did not say which part of it');
    if (others.length > 0) void this.#send(others, again);
  }
}

interface Answer {
  readonly Results: readonly { readonly KV: Entry }[] | null;
  readonly Errors: readonly { readonly OpIndex: number; readonly What: string }[] | null;
}

/** As many of the first parts as fit, no two of them of one key. */
function firstBatch(all: readonly Waiting[]): readonly [batch: Waiting[], rest: Waiting[]] {
  const batch: Waiting[] = [];
  const rest: Waiting[] = [];
  const keys = new Set<string>();
  const known = new Set<string>();
  let size = 0;
  for (const [index, waiting] of all.entries()) {
    if (known.size >= FULL || size >= LARGEST) return [batch, [...rest, ...all.slice(index)]];
    if (waiting.part.wanted?.() === false) {
      waiting.reject(new Error('it was given up before it was sent'));
      continue;
    }
    // Another part of a key that waits must not overtake it, so the key counts either way.
    if (keys.has(waiting.part.key)) {
      rest.push(waiting);
      continue;
    }
    keys.add(waiting.part.key);
    batch.push(waiting);
    for (const operation of waiting.part.build(false)) {
      known.add(identity(operation));
      size += operation.Key.length;
    }
  }
  return [batch, rest];
}

/** The guard of a session is checked once for all of its joins. */
function withoutRepetition(parts: readonly (readonly Operation[])[]): readonly Operation[] {
  const operations = new Map<string, Operation>();
  for (const operation of parts.flat())
    if (!operations.has(identity(operation))) operations.set(identity(operation), operation);
  return [...operations.values()];
}

const identity = ({ Verb, Key, Session, Index }: Operation): string => `${Verb} ${Session ?? Index ?? ''} ${Key}`;

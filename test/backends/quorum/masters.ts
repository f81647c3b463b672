import type { Claim, KeyBackend } from '../../../lib/backends/backend.js';
import { memoryOn } from '../../../lib/backends/memory/index.js';
import { LockTable } from '../../../lib/backends/memory/lock-table.js';
import { quorum, type QuorumOptions } from '../../../lib/backends/redlock/index.js';
import { type Question, Wire } from '../../../lib/testing/contract/wire.js';
import { VirtualClock } from '../../simulation/virtual-clock.js';

/** Milliseconds on the way there and on the way back, for this question; `undefined` is never. */
export type Way = (question: Question) => readonly [there: number | undefined, back: number | undefined];

/** What lies between one process and one server. Its way may change at any time. */
export class Link {
  way: Way = () => [0, 0];
  /** What was asked here, and when. */
  readonly asked: { readonly question: Question; readonly at: number }[] = [];

  constructor(private readonly clock: VirtualClock) {}

  /** Nothing gets through, and no call ends. */
  cut(): void {
    this.way = () => [undefined, undefined];
  }

  mend(): void {
    this.way = () => [0, 0];
  }

  to(server: KeyBackend): KeyBackend {
    const wire = new Wire();
    wire.ask = async (question, send) => {
      this.asked.push({ question, at: this.clock.now() });
      const [there, back] = this.way(question);
      await this.#pass(there);
      const answer = await send();
      await this.#pass(back);
      return answer;
    };
    wire.push = (deliver) => void this.#pass(this.way('attempt')[1]).then(deliver);
    return wire.to(server);
  }

  #pass(ms: number | undefined): Promise<void> {
    if (ms === 0) return Promise.resolve();
    return new Promise((resolve) => (ms === undefined ? undefined : void this.clock.after(ms, resolve)));
  }
}

/** One process with a quorum over all servers. */
export interface Voter {
  readonly backend: KeyBackend;
  readonly links: readonly Link[];
  readonly clock: VirtualClock;
}

export interface VoterOptions extends QuorumOptions {
  /** In which order it names the servers. */
  readonly order?: readonly number[];
  readonly random?: () => number;
}

/** Independent servers in virtual time. */
export class Masters {
  readonly clock = new VirtualClock();
  readonly tables: readonly LockTable[];
  #claims = 0;

  /** @param rates how fast the clock of each server runs */
  constructor(count: number, rates: readonly number[] = []) {
    const clocks = Array.from({ length: count }, (_, index) => this.clock.process({ rate: rates[index] ?? 1 }));
    this.tables = clocks.map((clock) => new LockTable(() => clock.now()));
  }

  voter({
    order = [...this.tables.keys()],
    random = () => 0.5,
    nodeTimeout = 250,
    ...options
  }: VoterOptions = {}): Voter {
    const clock = this.clock.process();
    const links = order.map(() => new Link(clock));
    const members = order.map((table, index) => links[index]!.to(memoryOn(this.tables[table]!)));
    const described = quorum(members, { nodeTimeout, ...options });
    const backend = described.forApplication?.({ clock, random }) ?? described;
    if (backend.family !== 'key') throw new Error('A quorum keeps a lease for each lock.');
    return { backend, links, clock };
  }

  claim(owner = `pod:${++this.#claims}`, ttl = 10_000): Claim {
    return { key: 'order', owner, mode: 'exclusive', limit: 1, ttl, claimTtl: ttl };
  }

  /** This owner has the key at these servers. */
  give(owner: string, ...servers: readonly number[]): void {
    for (const server of servers) this.tables[server]!.attempt(this.claim(`${owner}/1`));
  }

  take(owner: string, ...servers: readonly number[]): void {
    for (const server of servers) this.tables[server]!.release(this.claim(`${owner}/1`));
  }

  /** For each server who has the key there, without the number of the vote. */
  get holders(): readonly (string | undefined)[] {
    return this.tables.map((table) => table.inspect('order').holders[0]?.owner.replace(/\/\d+$/, ''));
  }

  /** Whether nobody holds the key or waits for it anywhere. */
  get untouched(): boolean {
    return this.tables.every((table) => {
      const { holders, waiting } = table.inspect('order');
      return holders.length === 0 && waiting === 0;
    });
  }
}

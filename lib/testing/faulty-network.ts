import type { LockBackend } from '../backends/backend.js';
import { type Clock, SystemClock } from '../engine/time/clock.js';
import { Wire } from './contract/wire.js';

/** What becomes of messages. Shares are from 0 to 1, times in milliseconds, as the least and the most. */
export interface NetworkQuality {
  /** How long a message takes, one way. */
  readonly delay: readonly [number, number];
  /** How many messages take `lag` more: they overtake nobody, but others overtake them. */
  readonly lagging: number;
  readonly lag: readonly [number, number];
  readonly lostRequests: number;
  /** The server did what it was asked, and its answer is lost. */
  readonly lostReplies: number;
  /** Of the calls that lose a message, how many fail. The others never end. */
  readonly failing: number;
  /** Of what the server says unasked. */
  readonly lostPushes: number;
  readonly repeatedPushes: number;
}

const perfect: NetworkQuality = {
  delay: [0, 1],
  lagging: 0,
  lag: [0, 0],
  lostRequests: 0,
  lostReplies: 0,
  failing: 0.5,
  lostPushes: 0,
  repeatedPushes: 0,
};

/** Networks by how much they lose and delay, times in milliseconds. */
export const networkQualities: Readonly<Record<'perfect' | 'good' | 'poor' | 'terrible', NetworkQuality>> = {
  perfect,
  /** One data centre on most days. */
  good: {
    ...perfect,
    delay: [0, 3],
    lagging: 0.01,
    lag: [10, 200],
    lostRequests: 0.001,
    lostReplies: 0.001,
    lostPushes: 0.002,
  },
  /** A day to remember. */
  poor: {
    ...{ delay: [1, 30], lagging: 0.05, lag: [20, 800] },
    ...{ lostRequests: 0.02, lostReplies: 0.02, failing: 0.5, lostPushes: 0.05, repeatedPushes: 0.02 },
  },
  /** Nothing works for long. */
  terrible: {
    ...{ delay: [1, 80], lagging: 0.1, lag: [50, 2_000] },
    ...{ lostRequests: 0.06, lostReplies: 0.06, failing: 0.5, lostPushes: 0.2, repeatedPushes: 0.1 },
  },
};

/** Options of the network between an engine and a backend under test. */
export interface FaultyNetworkOptions {
  /** How bad it is: a name, or shares and delays of your own. @default 'poor' */
  readonly quality?: keyof typeof networkQualities | NetworkQuality;
  /** What its delays are counted by; a virtual one makes them pass at once. @default the system's */
  readonly clock?: Clock;
  /** From 0 up to 1. With a seeded one, and a virtual clock, every run takes the same course. @default Math.random */
  readonly random?: () => number;
  /** Requests arrive in the order in which they were sent, as on one connection that never breaks. @default false */
  readonly ordered?: boolean;
  /** How what arrives gets into the process that asked; a process that stands still takes it in later. @default at once */
  readonly receive?: (run: () => void) => void;
}

interface Queued {
  readonly arrive: () => void;
  ready: boolean;
}

/**
 * A network that delays, reorders, loses and repeats what passes between a process and its lock server. Put it in front of a
 * backend to see what your service makes of a bad day:
 *
 * ```ts
 * const network = new FaultyNetwork({ quality: 'poor' });
 * DistributedLockModule.forRoot({ backend: network.to(memory()) });
 * network.cut();
 * ```
 */
export class FaultyNetwork {
  quality: NetworkQuality;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #ordered: boolean;
  readonly #receive: (run: () => void) => void;
  readonly #wire = new Wire();
  #cut = false;
  readonly #held: (() => void)[] = [];
  readonly #queued: Queued[] = [];

  constructor({
    quality = 'poor',
    clock = new SystemClock(),
    random = Math.random,
    ordered = false,
    receive = (run) => run(),
  }: FaultyNetworkOptions = {}) {
    this.quality = typeof quality === 'string' ? networkQualities[quality] : quality;
    this.#clock = clock;
    this.#random = random;
    this.#ordered = ordered;
    this.#receive = receive;
    this.#wire.ask = (question, send) => this.#ask(question, send);
    this.#wire.push = (deliver) => this.#push(deliver);
  }

  /** The backend, with this network in between. */
  to<B extends LockBackend>(backend: B): B {
    return this.#wire.to(backend);
  }

  /** Holds everything back from now on, what is on its way included. */
  cut(): void {
    this.#cut = true;
  }

  /** Lets everything through that was held back, and what comes. */
  mend(): void {
    this.#cut = false;
    for (const send of this.#held.splice(0)) send();
  }

  #ask(question: string, send: () => Promise<unknown>): Promise<unknown> {
    const { lostRequests, lostReplies, failing } = this.quality;
    return new Promise((resolve, reject) => {
      const fail = (): void =>
        this.#travel(() => this.#receive(() => reject(new Error(`connection lost during ${question}`))));
      if (this.#chance(lostRequests)) {
        if (this.#chance(failing)) fail();
        return;
      }
      const answered = !this.#chance(lostReplies);
      const told = answered || this.#chance(failing);
      // A broken connection is noticed here before or after the request arrives there: whoever sends it again may be overtaken by it.
      const early = !answered && told && !this.#ordered && this.#chance(0.5);
      if (early) fail();
      const arrive = (): void =>
        void send().then(
          (answer) => {
            if (answered) this.#travel(() => this.#receive(() => resolve(answer)));
            else if (told && !early) fail();
          },
          (error: unknown) => this.#travel(() => this.#receive(() => reject(error))),
        );
      if (this.#ordered) this.#queue(arrive);
      else this.#travel(arrive);
    });
  }

  #push(deliver: () => void): void {
    const { lostPushes, repeatedPushes } = this.quality;
    if (this.#chance(lostPushes)) return;
    this.#travel(() => this.#receive(deliver));
    if (this.#chance(repeatedPushes)) this.#travel(() => this.#receive(deliver));
  }

  #travel(arrive: () => void): void {
    const { delay, lagging, lag } = this.quality;
    this.#clock.after(this.#between(delay) + (this.#chance(lagging) ? this.#between(lag) : 0), () => {
      if (this.#cut) this.#held.push(() => this.#travel(arrive));
      else arrive();
    });
  }

  /** As `travel`, but after all that was sent before. */
  #queue(arrive: () => void): void {
    const message: Queued = { arrive, ready: false };
    this.#queued.push(message);
    this.#travel(() => {
      message.ready = true;
      for (let first = this.#queued[0]; first?.ready; first = this.#queued[0]) {
        this.#queued.shift();
        first.arrive();
      }
    });
  }

  #chance(share: number): boolean {
    return share > 0 && this.#random() < share;
  }

  #between([least, most]: readonly [number, number]): number {
    return least + this.#random() * (most - least);
  }
}

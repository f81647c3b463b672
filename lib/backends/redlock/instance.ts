import { LockConfigurationError } from '../../lock/errors.js';
import type { Attempt, Claim, KeyBackend, KeyState, Traits } from '../backend.js';
import { type Answer, answersOf } from './tally.js';

/** The part of an instance of the npm package `redlock` (4.2, 5.0.0-beta) that is used. */
export interface RedlockInstance {
  acquire(resources: string[], duration: number, settings?: object): PromiseLike<unknown>;
  release(lock: never, settings?: object): PromiseLike<unknown>;
  extend(lock: never, duration: number, settings?: object): PromiseLike<unknown>;
}

/** A lock as that package has it: version 4 calls the keys `resource`, version 5 `resources`. */
interface InstanceLock {
  readonly resource: string[];
  readonly resources: string[];
  readonly value: string;
  /** Whether it has ended is for the engine to know. */
  readonly expiration: number;
}

/** The instance with a value of our own for the keys, and one attempt each time: waiting, and trying again, are the engine's. */
interface Configured {
  acquire(resources: string[], duration: number, settings: object): PromiseLike<unknown>;
  release(lock: InstanceLock, settings: object): PromiseLike<unknown>;
  extend(lock: InstanceLock, duration: number, settings: object): PromiseLike<unknown>;
}

/** What is used of its clients. */
interface InstanceClient {
  get(key: string): Promise<string | null>;
  pttl(key: string): Promise<number>;
  del(key: string): Promise<number>;
  ping(): Promise<unknown>;
}

const instanceTraits = {
  fencing: false,
  // It keeps no line: whoever waits asks again.
  fifo: false,
  modes: ['exclusive'],
  semaphores: false,
  // Version 4 waits for every server, and gives up a lock that has ended by then.
  minTtl: 500,
  minHold: false,
  survivesFailover: false,
} as const satisfies Traits;

const ONCE = { retryCount: 0 };

/**
 * Locks of an instance of the npm package `redlock` that the application configures itself: its algorithm, with our waiting, watch-dog, signal
 * and decorators around it. The keys get the owner as their value, so that what an unanswered question left can be taken back.
 */
export class InstanceBackend implements KeyBackend {
  readonly family = 'key';
  readonly kind = 'redlock';
  readonly traits: Traits = instanceTraits;
  readonly #clients: readonly InstanceClient[];
  /** Who may have the key: an acquisition that fails would take it back from them. */
  readonly #mayHold = new Set<string>();

  /** @throws LockConfigurationError when it is no such instance */
  constructor(private readonly redlock: RedlockInstance) {
    this.#clients = clientsOf(redlock);
  }

  async ping(): Promise<void> {
    await this.#ask((client) => client.ping());
  }

  async attempt(claim: Claim): Promise<Attempt> {
    const { key, owner } = claim;
    if (this.#mayHold.has(owner) && (await this.#renew(claim)) === true) return { granted: true };
    this.#mayHold.add(owner);
    try {
      await this.#with(owner).acquire([key], Math.ceil(claim.ttl), ONCE);
      return { granted: true };
    } catch {
      // It does not say whether the key is busy or the servers are gone; this rejects when they are.
      const values = await this.#values(key);
      if (!values.includes(owner)) this.#mayHold.delete(owner);
      const holder = values.find((value) => value !== null && value !== owner);
      return { granted: false, ...(holder != null && { holder }) };
    }
  }

  renew(claims: readonly Claim[]): Promise<readonly (boolean | undefined)[]> {
    return Promise.all(claims.map((claim) => this.#renew(claim).catch(() => undefined)));
  }

  async release({ key, owner }: Claim): Promise<boolean> {
    let held = true;
    try {
      await this.#with(owner).release(lockOf(key, owner), ONCE);
    } catch (error) {
      if ((await this.#isHeld(key, owner)) !== false) throw error;
      held = false;
    }
    this.#mayHold.delete(owner);
    return held;
  }

  async inspect(key: string): Promise<KeyState> {
    const answers = await this.#ask(async (client) => [await client.get(key), await client.pttl(key)] as const);
    const known = answers.flatMap((answer) => ('error' in answer ? [] : [answer.value]));
    for (const [owner] of known) {
      const left = known.flatMap(([other, ms]) => (owner !== null && other === owner ? [ms] : []));
      const remainingMs = left.sort((a, b) => b - a)[this.#majority - 1];
      if (owner === null || remainingMs === undefined) continue;
      return {
        ...{ mode: 'exclusive', limit: 1, waiting: 0 },
        holders: [{ owner, fencingToken: undefined, remainingMs }],
      };
    }
    return { mode: 'exclusive', limit: 1, holders: [], waiting: 0 };
  }

  async forceRelease(key: string): Promise<boolean> {
    const answers = await this.#ask((client) => client.del(key));
    return answers.some((answer) => !('error' in answer) && answer.value > 0);
  }

  /** The instance and its clients are the application's. */
  async close(): Promise<void> {}

  get #majority(): number {
    return Math.floor(this.#clients.length / 2) + 1;
  }

  /** Version 4 takes no settings with a call, and both ask themselves for the value. */
  #with(owner: string): Configured {
    const instance = Object.create(this.redlock) as Configured;
    return Object.assign(instance, { ...ONCE, _random: () => owner });
  }

  async #renew({ key, owner, ttl }: Claim): Promise<boolean | undefined> {
    try {
      await this.#with(owner).extend(lockOf(key, owner), Math.ceil(ttl), ONCE);
      return true;
    } catch {
      return (await this.#isHeld(key, owner)) === false ? false : undefined;
    }
  }

  /** Whether a majority has it; `undefined` while those that did not answer would decide it. */
  async #isHeld(key: string, owner: string): Promise<boolean | undefined> {
    const values = await this.#values(key);
    const yes = values.filter((value) => value === owner).length;
    if (yes >= this.#majority) return true;
    return yes + this.#clients.length - values.length >= this.#majority ? undefined : false;
  }

  async #values(key: string): Promise<readonly (string | null)[]> {
    const answers = await this.#ask((client) => client.get(key));
    return answers.flatMap((answer) => ('error' in answer ? [] : [answer.value]));
  }

  #ask<T>(question: (client: InstanceClient) => Promise<T>): Promise<readonly Answer<T>[]> {
    const polls = this.#clients.map((client, index) => ({ node: `server ${index + 1}`, answer: question(client) }));
    return answersOf(polls, this.#majority);
  }
}

const lockOf = (key: string, value: string): InstanceLock => ({
  ...{ resource: [key], resources: [key], value, expiration: Infinity },
});

const isClient = (client: unknown): client is InstanceClient =>
  typeof client === 'object' &&
  client !== null &&
  ['get', 'pttl', 'del', 'ping'].every((name) => typeof Reflect.get(client, name) === 'function');

/** Version 5 has a set of clients, version 4 a list of servers. */
function clientsOf(redlock: object): readonly InstanceClient[] {
  const { clients, servers, _random } = redlock as { clients?: unknown; servers?: unknown; _random?: unknown };
  const all: unknown[] =
    clients instanceof Set ? [...(clients as Set<unknown>)] : Array.isArray(servers) ? servers : [];
  if (all.length > 0 && all.every(isClient) && typeof _random === 'function') return all;
  throw new LockConfigurationError(
    '`redlock({ redlock })` needs an instance of the npm package `redlock` (4.2 or 5.0.0-beta) over ioredis clients, and this is something else. ' +
      'Or give the clients themselves: `redlock({ clients })`.',
  );
}

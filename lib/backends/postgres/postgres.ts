import { randomBytes } from 'node:crypto';
import type {
  Attempt,
  Busy,
  Claim,
  Conflict,
  Grant,
  HandOver,
  KeyBackend,
  KeyState,
  ListPage,
  ListQuery,
  Traits,
  Waiter,
} from '../backend.js';
import { Crowd } from '../sql/crowd.js';
import { type Described, outcomeOf, stateOf, toStamp, touchedOf, wordsOf } from './answers.js';
import { Inbox } from './inbox.js';
import { escaped, nameOf, stored } from './keys.js';
import { Listener } from './listener.js';
import type { ListeningClient } from './pool.js';
import type { Statements } from './statements.js';
import { Sweeper } from './sweeper.js';

export const postgresTraits = {
  fencing: true,
  fifo: true,
  modes: ['exclusive', 'shared'],
  semaphores: true,
  minTtl: 100,
  // Replication is asynchronous unless it is set up otherwise: the lock of a primary that died before its replica had it is gone.
  survivesFailover: false,
} as const satisfies Traits;

/** How soon to ask again where nothing can be pushed, in milliseconds: at first and at most. */
const FIRST_POLL_MS = 20;
const LONGEST_POLL_MS = 1_000;

/** Whether a claim joins the line; `unheard`: nothing can be pushed to it yet, so that it asks by itself. */
const Joins = { not: 0, heard: 1, unheard: 2 } as const;
type Joins = (typeof Joins)[keyof typeof Joins];

export interface PostgresParts {
  readonly statements: Statements;
  /** Makes a connection to listen on, which is ours. */
  readonly connect: () => Promise<ListeningClient>;
  /** Whether that goes the way of the statements, so that what hears itself has no pooler in between. */
  readonly sameWay: boolean;
  /** How long a key that nobody uses is remembered, in milliseconds. */
  readonly counterTtl: number;
  /** Ends what was made for this backend. */
  readonly end: () => Promise<void>;
  readonly address: string | undefined;
  /** Makes the same once more, with connections of its own. */
  readonly forApplication: () => KeyBackend;
}

/** Locks in a table, through functions that each answer one question in one statement. */
export class PostgresBackend implements KeyBackend {
  readonly family = 'key';
  readonly kind = 'postgres';
  readonly traits: Traits = postgresTraits;
  readonly address?: string;
  readonly #statements: Statements;
  readonly #box = randomBytes(12).toString('base64url');
  readonly #crowd = new Crowd(async (key, owners) =>
    touchedOf(wordsOf(await this.#statements.call('touch_v1', [stored(key).key, owners, this.#box]))),
  );
  readonly #inbox = new Inbox(this.#crowd);
  readonly #listener: Listener;
  readonly #sweeper: Sweeper;
  readonly #end: () => Promise<void>;
  readonly forApplication: () => KeyBackend;
  /** Whose release was sent and not answered. */
  readonly #unconfirmed = new Set<string>();

  constructor({ statements, connect, sameWay, counterTtl, end, address, forApplication }: PostgresParts) {
    this.forApplication = forApplication;
    this.#statements = statements;
    this.#end = end;
    if (address !== undefined) this.address = address;
    const tell = (channel: string, text: string): Promise<void> => statements.notify(channel, text);
    this.#listener = new Listener(`lock_${this.#box}`, connect, tell, {
      message: (text) => this.#inbox.receive(text),
      up: () => {
        if (sameWay) statements.direct();
      },
      missed: () => this.#inbox.lookAll(),
    });
    this.#sweeper = new Sweeper(async (after, most) => {
      const [next, seen] = (await statements.call('sweep_v1', [micros(counterTtl), after, most])) as [string, number];
      return [next, seen];
    });
  }

  ping(): Promise<void> {
    return this.#statements.ping();
  }

  /** What works, but not as well as it could. */
  async warnings(): Promise<readonly string[]> {
    await this.#listener.start();
    return this.#listener.deaf ? [DEAF] : [];
  }

  attempt(claim: Claim, waiter?: Waiter): Promise<Attempt> {
    if (!waiter) return this.#attempt(claim, Joins.not);
    const { settled, up } = this.#listener;
    // Beside the first question, so that it stands soon when the answer is that others have the key.
    void this.#listener.start();
    if (settled && up && this.#inbox.expects(claim.owner)) return this.#again(claim, waiter);
    // It is sent first and expected then: what can be done while it is on its way costs nobody time.
    const answer = this.#attempt(claim, settled ? Joins.heard : Joins.unheard);
    this.#inbox.expect(claim.key, claim.owner, waiter);
    return settled ? answer : this.#opening(claim, waiter, answer);
  }

  /** The first time a process waits, it opens what it listens on: soon, or it asks by itself meanwhile. */
  async #opening(claim: Claim, waiter: Waiter, answer: Promise<Attempt>): Promise<Attempt> {
    const outcome = await answer;
    if (outcome.granted || 'limit' in outcome) return outcome;
    await this.#listener.soon();
    // Given up meanwhile, it must not join the line again.
    const joins = this.#listener.settled && this.#inbox.expects(claim.owner, waiter);
    return joins ? this.#attempt(claim, Joins.heard) : outcome;
  }

  /** One that is in line already, far from its head, is heard of together with the others of this process. */
  async #again(claim: Claim, waiter: Waiter): Promise<Attempt> {
    this.#inbox.expect(claim.key, claim.owner, waiter);
    return (await this.#crowd.look(claim.key, claim.owner)) ?? this.#attempt(claim, Joins.heard);
  }

  async attemptAll(claims: readonly Claim[]): Promise<readonly Grant[] | Busy | Conflict> {
    const keys = claims.map(({ key }) => stored(key));
    const answer = wordsOf(
      await this.#statements.call('attempt_all_v1', [
        keys.map(({ key }) => key),
        keys.map(({ name }) => name),
        claims.map(({ owner }) => owner),
        this.#box,
        claims.map(letter),
        claims.map(({ limit }) => limit),
        claims.map(({ ttl }) => micros(ttl)),
      ]),
    );
    const [kind, at, ...tokens] = answer;
    if (kind === 'g') return tokens.map((token) => ({ granted: true, fencingToken: BigInt(token), at: toStamp(at) }));
    const outcome = outcomeOf(answer);
    if (outcome.granted)
      throw new TypeError(`PostgreSQL answered attempt_all_v1 with '${kind}'; is a proxy in between?`);
    return outcome;
  }

  async renew(claims: readonly Claim[]): Promise<readonly boolean[]> {
    if (claims.length === 0) return [];
    const answer = await this.#statements.call('renew_v1', [
      claims.map(({ key }) => stored(key).key),
      claims.map(({ owner }) => owner),
      claims.map(({ ttl }) => micros(ttl)),
    ]);
    const [held = ''] = wordsOf(answer);
    return claims.map((_, index) => held[index] === '1');
  }

  release(claim: Claim, keepMs = 0): Promise<boolean> {
    return this.handOver.release(claim, [], keepMs);
  }

  async downgrade({ key, owner }: Claim): Promise<boolean> {
    const answer = await this.#serving(key, owner, 'downgrade_v1', [stored(key).key, owner, this.#box]);
    const [held, at, ...mine] = answer;
    this.#deliver(mine, at);
    return held === '1';
  }

  readonly handOver: HandOver = {
    takeOver: async ({ key, owner, ttl }, from, fencingToken) => {
      this.#inbox.forget(owner);
      const values = [stored(key).key, owner, this.#box, micros(ttl), String(fencingToken), from];
      const answer = Number(await this.#statements.call('take_over_v1', values));
      return answer === 1 ? 'held' : answer === 2 ? 'overtaking' : 'gone';
    },
    release: async (claim, from, keepMs = 0) => {
      const { key, owner } = claim;
      const again = this.#unconfirmed.has(owner);
      this.#unconfirmed.add(owner);
      const before = from.length > 0 ? from : null;
      const values = [stored(key).key, owner, this.#box, micros(keepMs), before, again];
      const answer = this.#serving(key, owner, 'release_v1', values);
      this.#inbox.forget(owner);
      const [held, at, ...mine] = await answer;
      this.#unconfirmed.delete(owner);
      this.#deliver(mine, at);
      return held === '1';
    },
  };

  async forceRelease(key: string): Promise<boolean> {
    const [at, count, ...rest] = await this.#serving(key, undefined, 'force_v1', [stored(key).key, this.#box]);
    // Those of this process may not be listening yet; being told twice does no harm.
    for (const owner of rest.splice(0, Number(count))) this.#inbox.lost(owner);
    this.#deliver(rest, at);
    return Number(count) > 0;
  }

  async inspect(key: string): Promise<KeyState> {
    return stateOf((await this.#statements.call('inspect_v1', [stored(key).key])) as Described | null);
  }

  /** Looks at as many keys as the page has, whether they are held or only remembered: a page may be empty and not the last. */
  async list({ prefix, limit, cursor }: ListQuery): Promise<ListPage> {
    const answer = await this.#statements.call('list_v1', [escaped(prefix), cursor ?? null, Math.max(limit, 1)]);
    const [found, next] = answer as readonly [readonly Described[], string | null];
    const keys = found.map((described) => ({ key: nameOf(described.key), ...stateOf(described) }));
    return next === null ? { keys } : { keys, cursor: next };
  }

  onLost(listener: (owner: string) => void): () => void {
    return this.#inbox.onLost(listener);
  }

  async close(): Promise<void> {
    this.#listener.close();
    await this.#end();
  }

  async #attempt(claim: Claim, joins: Joins): Promise<Attempt> {
    const { key, owner, limit, ttl, claimTtl } = claim;
    const { key: id, name } = stored(key);
    const values = [id, name, owner, this.#box, letter(claim), limit, micros(ttl), micros(claimTtl), joins];
    const words = await this.#serving(key, owner, 'attempt_v1', values);
    const outcome = outcomeOf(words);
    if (outcome.granted || 'limit' in outcome) {
      this.#inbox.forget(owner);
      if (words[0] === 'n') this.#sweeper.counted();
      this.#deliver(words.slice(3), words[2]);
      return outcome;
    }
    this.#deliver(words.slice(6), words[2]);
    if (joins === Joins.heard) this.#crowd.told(key, owner, outcome, Number(words[5]) > 3);
    const asked = this.#inbox.answered(owner);
    if (joins === Joins.not || (joins === Joins.heard && this.#listener.up)) return outcome;
    // Nothing is pushed to one who cannot be reached.
    const poll = Math.min(FIRST_POLL_MS * 2 ** Math.min(asked, 10), LONGEST_POLL_MS);
    return { ...outcome, retryAfterMs: Math.min(outcome.retryAfterMs ?? poll, poll) };
  }

  /** Calls a function whose answer may bring grants to other waiters of this process. */
  async #serving(key: string, owner: string | undefined, verb: string, values: unknown[]): Promise<readonly string[]> {
    try {
      return wordsOf(await this.#statements.call(verb, values));
    } catch (error) {
      this.#inbox.missed(key, owner);
      throw error;
    }
  }

  /** Grants to other waiters of this process come with the answer: owner, token, owner, token… */
  #deliver(mine: readonly string[], at: string | undefined): void {
    for (let i = 0; i + 1 < mine.length; i += 2) {
      this.#inbox.grant(mine[i] ?? '', BigInt(mine[i + 1] ?? 0), toStamp(at));
    }
  }
}

const DEAF =
  'PostgreSQL does not push to this process: LISTEN is accepted, but nothing arrives, as through a pooler in transaction mode. ' +
  'Waiters ask again and again instead. Give `listen` a connection string that leads to the server directly.';

const letter = (claim: Claim): 'x' | 's' | 'p' => (claim.limit > 1 ? 'p' : claim.mode === 'shared' ? 's' : 'x');

/** The functions count in microseconds. */
const micros = (milliseconds: number): number => Math.ceil(milliseconds * 1000);

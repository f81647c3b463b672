import { type Claim, type Session, SessionEndedError } from '../backend.js';
import { renewalPatience } from '../line/servers.js';
import type { ConsulClient } from './client.js';
import { inUrl, type Entry, type Layout } from './layout.js';
import type { Operation, Outcome, Transactions } from './transactions.js';

/** The longest that the server takes, in milliseconds. */
const LONGEST_MS = 24 * 60 * 60 * 1_000;

/** What the sessions of one backend share. */
export interface Server {
  readonly client: ConsulClient;
  readonly layout: Layout;
  readonly writes: Transactions;
  readonly reads: Transactions;
  /** A number that this process has not used yet. */
  nonce(): number;
}

/**
 * A lease that the locks of this process hang from.
 *
 * It has a guard: an entry whose modify index every `join` names. A request that was given up may reach the server much later, after
 * its place was given back, and would leave a place that nobody knows, for as long as the session lives. So whoever gives up a join
 * writes the guard again, and the late one fails.
 */
export class ConsulSession implements Session {
  /** The modify index of the guard, as far as is known. */
  #guard = 0;
  /** The highest index that an answer had: the server is at least there. */
  #seen = 0;
  /** What the server may have of this session. */
  readonly #places = new Map<string, Pick<Claim, 'key' | 'owner'>>();
  /** The owners whose lock `consul lock` knows of. */
  readonly #gated = new Set<string>();

  private constructor(
    private readonly server: Server,
    /** As `consul session` shows it. */
    readonly id: string,
    readonly ttl: number,
  ) {}

  /**
   * No check of a node: with the default one the death of an agent would end a session that is renewed through another agent. And no
   * lock delay: every place is an entry of its own, so it would delay nobody.
   */
  static async open(server: Server, ttl: number): Promise<ConsulSession> {
    const granted = Math.min(Math.ceil(ttl), LONGEST_MS);
    const { text } = await server.client.ask(() => ({
      method: 'PUT',
      path: '/session/create',
      body: {
        Name: 'nestjs-distributed-lock',
        TTL: `${granted}ms`,
        Behavior: 'delete',
        LockDelay: '0s',
        NodeChecks: [],
        Checks: [],
      },
    }));
    const { ID } = JSON.parse(text) as { readonly ID: string };
    const session = new ConsulSession(server, ID, granted);
    try {
      const key = server.layout.guard(ID);
      session.learn(await server.writes.run({ key, build: () => [session.writeGuard()] }));
    } catch (error) {
      // It would end by itself, but only after twice its time.
      void session.end().catch(() => undefined);
      throw error;
    }
    return session;
  }

  async renew(): Promise<boolean> {
    const patience = Math.ceil(renewalPatience(this.server.client.patience, this.ttl));
    const { status } = await this.server.client.ask(
      () => ({ method: 'PUT', path: `/session/renew/${this.id}`, patience, urgent: true }),
      [200, 404],
    );
    return status === 200;
  }

  /** Consul has no list of what hangs from a session, so the server is asked for each place that it may have. */
  async attached(): Promise<readonly Pick<Claim, 'key' | 'owner'>[]> {
    const places = [...this.#places.values()];
    const there = await Promise.all(
      places.map(async (claim) => {
        const path = this.server.layout.path(claim);
        const gate = this.#gated.has(claim.owner) ? [this.checkPlace(this.server.layout.gate(claim.key))] : [];
        return (await this.server.reads.run({ key: path, build: () => [this.checkPlace(path), ...gate] })).done;
      }),
    );
    return places.filter((_, index) => there[index]);
  }

  async end(): Promise<void> {
    await this.server.client.ask(() => ({ method: 'PUT', path: `/session/destroy/${this.id}` }));
  }

  /** A place is about to be taken. */
  expect({ key, owner }: Claim): void {
    this.#places.set(owner, { key, owner });
  }

  /** The owner's place is gone. */
  forget({ owner }: Claim): void {
    this.#places.delete(owner);
    this.#gated.delete(owner);
  }

  /** The owner has the lock in the eyes of `consul lock` too. */
  hasGate({ owner }: Claim): void {
    this.#gated.add(owner);
  }

  get guard(): number {
    return this.#guard;
  }

  /** The server's order of changes has come at least this far. */
  get seen(): number {
    return this.#seen;
  }

  /** Fails when the guard has been written again. */
  checkGuard(): Operation {
    return { Verb: 'check-index', Key: this.server.layout.guard(this.id), Index: this.#guard };
  }

  /** Makes all earlier joins fail that have not reached the server yet. */
  writeGuard(): Operation {
    const Value = Buffer.from(String(this.server.nonce())).toString('base64');
    return { Verb: 'lock', Key: this.server.layout.guard(this.id), Value, Session: this.id };
  }

  /** Fails when there is no such place in this session. */
  checkPlace(path: string): Operation {
    return { Verb: 'check-session', Key: path, Session: this.id };
  }

  /**
   * Remembers what an answer tells of the guard and of the server's order.
   * @throws SessionEndedError when it says that the session has ended
   */
  learn(outcome: Outcome): Outcome {
    if (outcome.done) {
      const guard = outcome.entries.findLast(({ Key }) => Key === this.server.layout.guard(this.id));
      if (guard) this.#guard = Math.max(this.#guard, guard.ModifyIndex);
      for (const { ModifyIndex } of outcome.entries) this.saw(ModifyIndex);
    } else {
      for (const why of outcome.failed.values()) if (/invalid session/i.test(why)) throw new SessionEndedError(this);
    }
    return outcome;
  }

  saw(index: number): void {
    if (index > this.#seen) this.#seen = index;
  }

  /**
   * Reads the guard, after another request wrote it.
   * @throws SessionEndedError when it is gone: it goes with its session
   */
  async refresh(): Promise<void> {
    const { status, text } = await this.server.client.ask(
      () => ({
        method: 'GET',
        path: `/kv/${inUrl(this.server.layout.guard(this.id))}`,
        query: { consistent: '' },
      }),
      [200, 404],
    );
    const [entry] = status === 200 ? (JSON.parse(text) as readonly Entry[]) : [];
    if (entry?.Session !== this.id) throw new SessionEndedError(this);
    this.#guard = Math.max(this.#guard, entry.ModifyIndex);
  }
}

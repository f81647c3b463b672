import {
  type Attempt,
  type Claim,
  type LockBackend,
  type Session,
  type SessionBackend,
  SessionEndedError,
} from '../../lib/backends/backend.js';
import { memoryTraits } from '../../lib/backends/memory/index.js';
import type { LockTable } from '../../lib/backends/memory/lock-table.js';

interface Entry {
  readonly ttl: number;
  ends: number;
  /** What hangs from it: holds and places in line. */
  readonly claims: Map<string, Claim>;
}

/**
 * A model of servers of the second family: the locks of a process hang from a session, and are gone with it. Owners are told
 * apart, but one that comes back with another session is somebody else.
 */
export class SessionServer {
  readonly #sessions = new Map<Session, Entry>();
  #count = 0;

  constructor(
    private readonly table: LockTable,
    private readonly now: () => number,
  ) {}

  /** Sessions that live. */
  get size(): number {
    this.sweep();
    return this.#sessions.size;
  }

  /** One process's view. */
  backend({
    attemptAll,
    attached: telling = true,
  }: {
    readonly attemptAll: boolean;
    readonly attached?: boolean;
  }): LockBackend {
    const { table } = this;
    const backend: SessionBackend = {
      family: 'session',
      kind: 'model',
      traits: memoryTraits,
      ping: async () => {},
      open: async (ttl) => this.#open(ttl, telling),
      attempt: async (claim, session, waiter) =>
        this.#in(session, claim, (hung) =>
          this.#attached(session, claim, hung, table.attempt(hung, waiter), waiter !== undefined),
        ),
      release: async (claim, session, keepMs) =>
        this.#in(session, claim, (hung) => {
          this.#entry(session).claims.delete(claim.owner);
          return table.release(hung, keepMs);
        }),
      downgrade: async (claim, session) => this.#in(session, claim, (hung) => table.downgrade(hung)),
      inspect: async (key) => {
        this.sweep();
        const { holders, waiters, ...state } = table.inspect(key);
        return {
          ...state,
          holders: holders.map((holder) => ({
            ...holder,
            owner: plain(holder.owner),
            remainingMs: this.#remainingMs(holder.owner),
          })),
          ...(waiters && { waiters: waiters.map((waiter) => ({ ...waiter, owner: plain(waiter.owner) })) }),
        };
      },
      forceRelease: async (key) => this.#force(key),
      onLost(listener) {
        const tell = (owner: string): void => listener(plain(owner));
        table.victims.add(tell);
        return () => table.victims.delete(tell);
      },
      close: async () => {},
    };
    if (!attemptAll) return backend;
    return {
      ...backend,
      attemptAll: async (claims, session) => {
        const entry = this.#entry(session);
        const hung = claims.map((claim) => attached(claim, session));
        const answer = table.attemptAll(hung);
        if (!('granted' in answer))
          for (const [index, claim] of claims.entries()) entry.claims.set(claim.owner, hung[index] as Claim);
        return answer;
      },
    };
  }

  /** Forgets the sessions that have ended, and what hung from them. */
  sweep(): void {
    for (const [session, { ends }] of this.#sessions) if (ends <= this.now()) this.#end(session);
  }

  /** How long the session of that place lives on if nobody renews it. */
  #remainingMs(owner: string): number {
    for (const [{ id }, { ends }] of this.#sessions) if (owner.endsWith(`@${id}`)) return ends - this.now();
    return 0;
  }

  #force(key: string): boolean {
    this.sweep();
    const victims = this.table.forceRelease(key);
    for (const { claims } of this.#sessions.values()) {
      for (const [owner, hung] of claims) if (victims.includes(hung.owner)) claims.delete(owner);
    }
    return victims.length > 0;
  }

  /** Ends all of them, as a server that lost its data. */
  forget(): void {
    for (const session of this.#sessions.keys()) this.#end(session);
  }

  #open(ttl: number, telling: boolean): Session {
    // A server may keep time in coarser steps than it is asked for.
    const granted = Math.max(100, Math.floor(ttl / 50) * 50);
    const session: Session = {
      id: `session-${++this.#count}`,
      ttl: granted,
      renew: async () => {
        this.sweep();
        const entry = this.#sessions.get(session);
        if (entry) entry.ends = this.now() + entry.ttl;
        return entry !== undefined;
      },
      end: async () => {
        this.sweep();
        this.#end(session);
      },
      ...(telling && {
        attached: async () => [...this.#entry(session).claims].map(([owner, { key }]) => ({ key, owner })),
      }),
    };
    this.#sessions.set(session, { ttl: granted, ends: this.now() + granted, claims: new Map() });
    return session;
  }

  #end(session: Session): void {
    const entry = this.#sessions.get(session);
    this.#sessions.delete(session);
    const claims = [...(entry?.claims.values() ?? [])];
    const holds = (claim: Claim): boolean =>
      this.table.inspect(claim.key).holders.some(({ owner }) => owner === claim.owner);
    // All in one: the line must not move on to somebody who is about to leave it.
    for (const claim of claims) if (!holds(claim)) this.table.release(claim);
    for (const claim of claims) this.table.release(claim);
  }

  #entry(session: Session): Entry {
    this.sweep();
    const entry = this.#sessions.get(session);
    if (!entry) throw new SessionEndedError(session);
    return entry;
  }

  #in<T>(session: Session, claim: Claim, verb: (hung: Claim) => T): T {
    this.#entry(session);
    return verb(attached(claim, session));
  }

  #attached(session: Session, claim: Claim, hung: Claim, answer: Attempt, joined: boolean): Attempt {
    if (answer.granted || (joined && !('limit' in answer))) this.#entry(session).claims.set(claim.owner, hung);
    return 'holder' in answer && answer.holder !== undefined ? { ...answer, holder: plain(answer.holder) } : answer;
  }
}

const attached = (claim: Claim, session: Session): Claim => ({
  ...claim,
  owner: `${claim.owner}@${session.id}`,
  ttl: Infinity,
  claimTtl: Infinity,
});

/** The owner as the engine named it. */
const plain = (owner: string): string => owner.slice(0, owner.lastIndexOf('@'));

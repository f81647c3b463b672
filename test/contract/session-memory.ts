import {
  type Attempt,
  type Claim,
  type Session,
  type SessionBackend,
  SessionEndedError,
} from '../../lib/backends/backend.js';
import { memoryTraits } from '../../lib/backends/memory/index.js';
import { LockTable } from '../../lib/backends/memory/lock-table.js';

/** Longer than any test: in this family a lock has no lease of its own. */
const NO_LEASE = 1e9;

interface Open {
  ends: number;
  readonly claims: Map<string, Claim>;
}

/** The other family on the table of the memory backend: many locks hang from one lease, and end with it. */
export function sessionMemory(): SessionBackend {
  const table = new LockTable(() => performance.now());
  const sessions = new Map<Session, Open>();
  const sessionOf = new Map<string, Session>();
  const listeners = new Set<(owner: string) => void>();
  let count = 0;

  const end = (session: Session): void => {
    const open = sessions.get(session);
    sessions.delete(session);
    for (const claim of open?.claims.values() ?? []) table.release(claim);
  };
  /** The server's own clock: sessions that fell silent end before anything else is answered. */
  const pass = (): void => {
    for (const [session, { ends }] of sessions) if (ends <= performance.now()) end(session);
  };
  const use = (session: Session): Open => {
    pass();
    const open = sessions.get(session);
    if (!open) throw new SessionEndedError(session);
    return open;
  };
  const attach = (claim: Claim, session: Session): Claim => {
    const attached = { ...claim, ttl: NO_LEASE, claimTtl: NO_LEASE };
    use(session).claims.set(claim.owner, attached);
    sessionOf.set(claim.owner, session);
    return attached;
  };

  return {
    family: 'session',
    kind: 'session memory',
    traits: memoryTraits,
    async ping() {},
    async open(ttl) {
      const session: Session = {
        id: `${++count}`,
        ttl,
        async renew() {
          pass();
          const open = sessions.get(session);
          if (open) open.ends = performance.now() + ttl;
          return open !== undefined;
        },
        end: async () => end(session),
      };
      sessions.set(session, { ends: performance.now() + ttl, claims: new Map() });
      return session;
    },
    attempt: async (claim, session, waiter): Promise<Attempt> => table.attempt(attach(claim, session), waiter),
    attemptAll: async (claims, session) => table.attemptAll(claims.map((claim) => attach(claim, session))),
    async release(claim, session, keepMs) {
      const held = table.release(claim, keepMs);
      use(session).claims.delete(claim.owner);
      return held;
    },
    async downgrade(claim, session) {
      use(session);
      return table.downgrade(claim);
    },
    async inspect(key) {
      pass();
      const state = table.inspect(key);
      const remaining = (owner: string) =>
        (sessions.get(sessionOf.get(owner) ?? noSession)?.ends ?? 0) - performance.now();
      return {
        ...state,
        holders: state.holders.map((holder) => ({ ...holder, remainingMs: remaining(holder.owner) })),
      };
    },
    async forceRelease(key) {
      pass();
      const victims = table.forceRelease(key);
      for (const owner of victims) for (const listener of listeners) listener(owner);
      return victims.length > 0;
    },
    onLost(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {},
  };
}

const noSession: Session = { id: 'none', ttl: 0, renew: async () => false, end: async () => undefined };

import {
  type Attempt,
  type Busy,
  type Claim,
  type Clash,
  type Grant,
  type KeyBackend,
  type LockBackend,
  type Session,
  type SessionBackend,
  SessionEndedError,
  type Waiter,
} from '../backends/backend.js';
import type { Clock } from './clock.js';
import type { Keeper } from './keeper.js';
import { Lease } from './lease.js';
import { ask } from './call.js';

/**
 * The one difference between the two families of backends, taken out of everybody else's way: what a grant's lease is, and how
 * leases are renewed.
 */
export interface Family {
  attempt(claim: Claim, waiter?: Waiter): Promise<Attempt>;
  attemptAll?(claims: readonly Claim[]): Promise<readonly Grant[] | Busy | Clash>;
  release(claim: Claim, keepMs: number): Promise<boolean>;
  downgrade?(claim: Claim): Promise<boolean>;
  /** The lease that a grant hangs from, already kept alive if `renewed`; `undefined` when it is over before it began. */
  hang(claim: Claim, since: number, ttl: number, renewed: boolean): Lease | undefined;
  /** The grant is let go of: resolves when no renewal of its lease can reach the server any more. */
  unhang(claim: Claim, lease: Lease): Promise<void>;
  renew(leases: readonly Lease[]): Promise<readonly (boolean | undefined)[]>;
  close(): Promise<void>;
}

export interface FamilyOptions {
  readonly clock: Clock;
  readonly callTimeout: number;
  readonly keeper: () => Keeper;
}

export function familyOf(backend: LockBackend, options: FamilyOptions): Family {
  return backend.family === 'key' ? keyFamily(backend, options) : new SessionFamily(backend, options);
}

/** Each lock has a lease of its own. */
function keyFamily(backend: KeyBackend, { clock, keeper }: FamilyOptions): Family {
  return {
    attempt: (claim, waiter) => backend.attempt(claim, waiter),
    ...(backend.attemptAll && { attemptAll: backend.attemptAll.bind(backend) }),
    release: (claim, keepMs) => backend.release(claim, keepMs),
    ...(backend.downgrade && { downgrade: backend.downgrade.bind(backend) }),
    hang(claim, since, ttl, renewed) {
      const lease = new Lease(clock, { claim }, since, ttl, claim.ttl);
      if (!lease.live) return undefined;
      keeper().keep(lease, renewed);
      return lease;
    },
    unhang: (_, lease) => {
      lease.end();
      return keeper().drop(lease);
    },
    renew: (leases) =>
      backend.renew(leases.flatMap((lease) => ('claim' in lease.subject ? [{ ...lease.subject.claim, ttl: lease.renewTo }] : []))),
    async close() {},
  };
}

interface Open {
  readonly session: Session;
  readonly lease: Lease;
  /** Those that wait in a line by this session: if it ends, they lost their places. */
  readonly waiters: Map<string, Waiter>;
}

/** Many locks hang from one lease: one session for each length of lease, opened when first needed and kept alive until the end. */
class SessionFamily implements Family {
  readonly #sessions = new Map<number, Promise<Open>>();
  /** The session each claim was made in; a release must name the same one. */
  readonly #used = new Map<string, Open>();
  readonly attemptAll?: (claims: readonly Claim[]) => Promise<readonly Grant[] | Busy | Clash>;
  readonly downgrade?: (claim: Claim) => Promise<boolean>;

  constructor(
    private readonly backend: SessionBackend,
    private readonly options: FamilyOptions,
  ) {
    if (backend.attemptAll) {
      this.attemptAll = async (claims) => {
        const first = claims[0];
        if (!first) return [];
        const open = await this.#openFor(first);
        for (const claim of claims) this.#used.set(claim.owner, open);
        return this.#in(open, async () => (await backend.attemptAll?.(claims, open.session)) ?? []);
      };
    }
    if (backend.downgrade) {
      this.downgrade = async (claim) => {
        const open = this.#used.get(claim.owner);
        return open ? this.#in(open, async () => (await backend.downgrade?.(claim, open.session)) ?? false) : false;
      };
    }
  }

  async attempt(claim: Claim, waiter?: Waiter): Promise<Attempt> {
    const before = this.#used.get(claim.owner);
    const open = before?.lease.live ? before : await this.#openFor(claim);
    this.#used.set(claim.owner, open);
    if (waiter) open.waiters.set(claim.owner, waiter);
    return this.#in(open, () => this.backend.attempt(claim, open.session, waiter));
  }

  async release(claim: Claim, keepMs: number): Promise<boolean> {
    const open = this.#used.get(claim.owner);
    if (!open) return false;
    open.waiters.delete(claim.owner);
    // What hung from a session that has ended is gone with it; one that ended only by our clock may still be there.
    const held = await this.backend.release(claim, open.session, keepMs).catch((error: unknown) => {
      if (error instanceof SessionEndedError) return false;
      throw error;
    });
    this.#used.delete(claim.owner);
    return held;
  }

  hang(claim: Claim): Lease | undefined {
    const open = this.#used.get(claim.owner);
    open?.waiters.delete(claim.owner);
    return open?.lease.live ? open.lease : undefined;
  }

  async unhang(): Promise<void> {}

  async renew(leases: readonly Lease[]): Promise<readonly (boolean | undefined)[]> {
    return Promise.all(
      leases.map(({ subject }) => ('session' in subject ? subject.session.renew().catch(() => undefined) : undefined)),
    );
  }

  async close(): Promise<void> {
    const opened = await Promise.allSettled(this.#sessions.values());
    this.#sessions.clear();
    await Promise.all(
      opened.map(async (one) => {
        if (one.status === 'rejected') return;
        const { lease, session } = one.value;
        lease.end();
        await this.options.keeper().drop(lease);
        // Unconfirmed, it ends by itself when its lease does.
        await ask(this.options.clock, this.options.callTimeout, () => session.end()).catch(() => undefined);
      }),
    );
  }

  async #in<T>(open: Open, verb: () => Promise<T>): Promise<T> {
    try {
      return await verb();
    } catch (error) {
      if (error instanceof SessionEndedError) open.lease.lose(`its session ${open.session.id} has ended on the server`);
      throw error;
    }
  }

  async #openFor({ ttl }: Claim): Promise<Open> {
    let opening = this.#sessions.get(ttl);
    if (!opening) {
      opening = this.#open(ttl);
      this.#sessions.set(ttl, opening);
      // A session that could not be opened is asked for anew by the next claim.
      opening.catch(() => this.#sessions.delete(ttl));
    }
    return opening;
  }

  async #open(ttl: number): Promise<Open> {
    const { clock, keeper, callTimeout } = this.options;
    const sentAt = clock.now();
    // A session that comes too late would be kept by nobody.
    const session = await ask(
      clock,
      callTimeout,
      () => this.backend.open(ttl),
      (late) => void late.end().catch(() => undefined),
    );
    const lease = new Lease(clock, { session }, sentAt, session.ttl, session.ttl);
    const open: Open = { session, lease, waiters: new Map() };
    lease.listen({
      lost: () => {
        this.#sessions.delete(ttl);
        for (const waiter of open.waiters.values()) waiter.look();
      },
    });
    keeper().keep(lease, true);
    return open;
  }
}

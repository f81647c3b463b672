import {
  type Attempt,
  type Busy,
  type Claim,
  type Conflict,
  type Grant,
  type Session,
  type SessionBackend,
  SessionEndedError,
  type Waiter,
} from '../../backends/backend.js';
import { ask } from '../asking/ask.js';
import type { Clock } from '../time/clock.js';
import type { Family, FamilyOptions } from './family.js';
import { Lease, type LeaseListener } from './lease.js';
import { believedUntil, type NotYet, pushedAfter } from './validity.js';

/** For so many renewals a session is kept that nothing hangs from: the next lock of its length nearly always comes sooner. */
const IDLE_RENEWALS = 12;

interface Open {
  readonly session: Session;
  readonly lease: Lease;
  /** The length that was asked for. */
  readonly ttl: number;
  readonly hung: Set<Attachment>;
  /** Renewals in which nothing hung from it. */
  idle: number;
  auditing: boolean;
}

/** The session of one length of lease, from when it is asked for. */
interface Slot {
  readonly opening: Promise<Open>;
  open: Open | undefined;
}

/** A claim that the server may have something of. */
interface Attachment {
  readonly claim: Claim;
  /** How often it was asked for. Only the last answer tells that nothing of it is there. */
  asked: number;
  /** The session it was last asked for in; a release must name the same one. */
  open: Open | undefined;
  /** The session it was last granted in. Under another one that grant is void. */
  grantedIn: Open | undefined;
  /** While it waits: if the session ends, it lost its place. */
  waiter: Waiter | undefined;
  share: SessionLease | undefined;
  /** It is not wanted any more, and was let go of so. */
  over: { readonly keepMs: number } | undefined;
  /** What its owner asked for last, whose answer says whether it was held. */
  releasing: Promise<boolean> | undefined;
  /** Its release is being tried until it is confirmed. */
  leaving: boolean;
}

/** Many locks hang from one lease: one session for each length of lease, opened when first needed and kept alive while in use. */
export class SessionFamily implements Family {
  readonly #sessions = new Map<number, Slot>();
  readonly #opens = new Map<Session, Open>();
  readonly #hung = new Map<string, Attachment>();
  readonly attemptAll?: (claims: readonly Claim[]) => Promise<readonly Grant[] | Busy | Conflict | undefined>;
  readonly downgrade?: (claim: Claim) => Promise<boolean>;

  constructor(
    private readonly backend: SessionBackend,
    private readonly options: FamilyOptions,
  ) {
    if (backend.attemptAll) this.attemptAll = (claims) => this.#attemptAll(claims);
    if (backend.downgrade) {
      this.downgrade = async (claim) => {
        const open = this.#hung.get(claim.owner)?.open;
        return open ? this.#in(open, async () => (await backend.downgrade?.(claim, open.session)) ?? false) : false;
      };
    }
  }

  async attempt(claim: Claim, waiter?: Waiter): Promise<Attempt> {
    const hung = this.#expect(claim);
    const question = ++hung.asked;
    if (waiter) hung.waiter = waiter;
    const open = this.#standing(hung) ?? (await this.#openOf(hung));
    let answer: Attempt;
    try {
      answer = await this.backend.attempt(claim, open.session, waiter && this.#boundTo(open, claim, waiter));
    } catch (error) {
      throw this.#checked(error, open);
    }
    if (answer.granted) hung.grantedIn = open;
    const there = answer.granted || (waiter !== undefined && !('limit' in answer));
    if (!there) {
      // A refusal that comes late must not make the grant of a later question be forgotten: nobody would release it.
      if (question === hung.asked) this.#forget(hung);
    } else if (hung.over || this.#hung.get(claim.owner) !== hung) {
      // Given up meanwhile: its release may have overtaken the attempt, and done nothing.
      this.#clear(claim, open);
    }
    return answer;
  }

  /** A place in line, and so the grant that is pushed to it, belongs to one session: under a later one it is only a hint. */
  #boundTo(open: Open, { owner }: Claim, waiter: Waiter): Waiter {
    return {
      granted: (grant) => {
        const hung = this.#hung.get(owner);
        if (hung?.open !== open) return waiter.look();
        hung.grantedIn = open;
        waiter.granted(grant);
      },
      look: () => waiter.look(),
    };
  }

  async release({ owner }: Claim, keepMs: number): Promise<boolean> {
    const hung = this.#hung.get(owner);
    return hung ? (hung.releasing = this.#release(hung, keepMs)) : false;
  }

  async #release(hung: Attachment, keepMs: number): Promise<boolean> {
    hung.over = { keepMs };
    hung.waiter = undefined;
    // What hung from a session that has ended is gone with it; one that ended only by our clock may still be there.
    const held =
      hung.open !== undefined &&
      (await this.backend.release(hung.claim, hung.open.session, keepMs).catch(falseIfEnded));
    this.#forget(hung);
    return held;
  }

  attach(claim: Claim, since: number, ttl: number, renewed: boolean): Lease | undefined {
    const hung = this.#hung.get(claim.owner);
    const open = hung?.open;
    if (!hung || !open || hung.grantedIn !== open) return undefined;
    const { clock, watchdog } = this.options;
    const share = new SessionLease(clock, claim, since, ttl, open.lease, renewed);
    if (!share.live) return undefined;
    hung.waiter = undefined;
    hung.share = share;
    open.lease.listen(share);
    // Its session lives on, so nobody but us lets go of it.
    if (!renewed) share.listen({ lost: () => this.#letGo(claim, 0) });
    // Renewed with its session; the watchdog knows it for `extend`.
    watchdog().keep(share, false);
    return share;
  }

  detach(claim: Claim, lease: Lease): Promise<void> | undefined {
    lease.end();
    const hung = this.#hung.get(claim.owner);
    if (hung?.share) {
      hung.open?.lease.unlisten(hung.share);
      hung.over ??= { keepMs: 0 };
    }
    return this.options.watchdog().drop(lease);
  }

  pushedSince(notYet: NotYet, grantedAt: number | undefined, now: number): number | undefined {
    return pushedAfter(notYet, grantedAt, now);
  }

  async renew(leases: readonly Lease[]): Promise<readonly (boolean | undefined)[]> {
    const [first] = leases;
    // Alone, its error is told as it is. Among others it is an answer that did not come, which touches none of them.
    if (first && leases.length === 1) return [await this.#renewed(first)];
    return Promise.all(leases.map((lease) => this.#renewed(lease).catch(() => undefined)));
  }

  #renewed({ subject }: Lease): Promise<boolean> {
    return 'session' in subject ? this.#renew(subject.session) : this.#renewFor(subject.claim);
  }

  async close(): Promise<void> {
    const opened = await Promise.allSettled([...this.#sessions.values()].map(({ opening }) => opening));
    this.#sessions.clear();
    await Promise.all(opened.flatMap((one) => (one.status === 'fulfilled' ? [this.#end(one.value)] : [])));
  }

  async #attemptAll(claims: readonly Claim[]): Promise<readonly Grant[] | Busy | Conflict | undefined> {
    const all = claims.map((claim) => this.#expect(claim));
    const [first] = all;
    if (!first) return [];
    const open = this.#standing(first) ?? (await this.#openOf(first));
    for (const hung of all) this.#move(hung, open);
    const answer = await this.#in(open, async () => this.backend.attemptAll?.(claims, open.session));
    const granted = answer !== undefined && !('granted' in answer);
    for (const hung of all) {
      if (granted) hung.grantedIn = open;
      if (!granted) this.#forget(hung);
      else if (hung.over || this.#hung.get(hung.claim.owner) !== hung) this.#clear(hung.claim, open);
    }
    return answer;
  }

  #expect(claim: Claim): Attachment {
    let hung = this.#hung.get(claim.owner);
    if (!hung)
      this.#hung.set(
        claim.owner,
        (hung = {
          claim,
          asked: 0,
          open: undefined,
          grantedIn: undefined,
          waiter: undefined,
          share: undefined,
          over: undefined,
          releasing: undefined,
          leaving: false,
        }),
      );
    hung.over = undefined;
    return hung;
  }

  #forget(hung: Attachment): void {
    if (hung.share) hung.open?.lease.unlisten(hung.share);
    this.#hung.delete(hung.claim.owner);
    hung.open?.hung.delete(hung);
  }

  #move(hung: Attachment, open: Open): void {
    hung.open?.hung.delete(hung);
    hung.open = open;
    open.hung.add(hung);
  }

  /** The session that the claim was made in or will be, if it is open. */
  #standing(hung: Attachment): Open | undefined {
    if (hung.open?.lease.live) return hung.open;
    const open = this.#sessions.get(hung.claim.ttl)?.open;
    if (!open?.lease.live) return undefined;
    this.#move(hung, open);
    return open;
  }

  async #openOf(hung: Attachment): Promise<Open> {
    const open = await this.#openFor(hung.claim);
    // Sent now, it would arrive after its own release.
    if (this.#hung.get(hung.claim.owner) !== hung || hung.over)
      throw new Error('it was given up while its session was opened');
    this.#move(hung, open);
    return open;
  }

  async #openFor({ ttl }: Claim): Promise<Open> {
    for (;;) {
      const open = await (this.#sessions.get(ttl) ?? this.#newSlot(ttl)).opening;
      if (open.lease.live) return open;
      // The timer that should have said so is late.
      open.lease.lose('its lease ran out before the server confirmed a renewal');
    }
  }

  #newSlot(ttl: number): Slot {
    const slot: Slot = { opening: this.#open(ttl), open: undefined };
    this.#sessions.set(ttl, slot);
    slot.opening.then(
      (open) => (slot.open = open),
      // Asked for anew by the next claim.
      () => this.#sessions.delete(ttl),
    );
    return slot;
  }

  async #open(ttl: number): Promise<Open> {
    const { clock, watchdog, callTimeout } = this.options;
    const sentAt = clock.now();
    // A session that comes too late would be kept by nobody.
    const session = await ask(clock, callTimeout, () => this.backend.open(ttl), {
      late: (session) => void session.end().catch(() => undefined),
    });
    const lease = new Lease(clock, { session }, believedUntil(sentAt, session.ttl), session.ttl);
    const open: Open = { session, lease, ttl, hung: new Set(), idle: 0, auditing: false };
    this.#opens.set(session, open);
    lease.listen({
      lost: () => {
        this.#close(open);
        for (const { waiter } of open.hung) waiter?.look();
      },
    });
    watchdog().keep(lease, true);
    return open;
  }

  /** Nothing new hangs from it. */
  #close(open: Open): void {
    this.#opens.delete(open.session);
    const slot = this.#sessions.get(open.ttl);
    if (slot && (slot.open ?? open) === open) this.#sessions.delete(open.ttl);
  }

  async #end(open: Open): Promise<void> {
    const { clock, watchdog, callTimeout } = this.options;
    this.#opens.delete(open.session);
    open.lease.end();
    await watchdog().drop(open.lease);
    // Unconfirmed, it ends by itself when its lease does.
    await ask(clock, callTimeout, () => open.session.end()).catch(() => undefined);
  }

  async #in<T>(open: Open, verb: () => Promise<T>): Promise<T> {
    try {
      return await verb();
    } catch (error) {
      throw this.#checked(error, open);
    }
  }

  #checked(error: unknown, { lease, session }: Open): unknown {
    if (error instanceof SessionEndedError) lease.lose(`its session ${session.id} has ended on the server`);
    return error;
  }

  async #renew(session: Session): Promise<boolean> {
    const open = this.#opens.get(session);
    if (open) {
      open.idle = open.hung.size > 0 ? 0 : open.idle + 1;
      if (open.idle > IDLE_RENEWALS) {
        this.#close(open);
        // After this renewal, which its end waits for.
        void Promise.resolve().then(() => this.#end(open));
        return true;
      }
    }
    const lives = await session.renew();
    if (lives && open) void this.#audit(open);
    return lives;
  }

  /** Renewing a lock that hangs from a session is renewing that. */
  async #renewFor({ owner }: Claim): Promise<boolean> {
    const hung = this.#hung.get(owner);
    if (!hung?.open || !hung.share) return false;
    await this.options.watchdog().renewNow(hung.open.lease);
    return hung.share.live;
  }

  /**
   * Compares what hangs from a session with what should. A lock can go while its session stays (it was released by force), and its
   * holder is told. A request that was given up can arrive after its own release (from a member that was frozen), and what it left
   * would hang there as long as the process lives, in everybody's way.
   */
  async #audit(open: Open): Promise<void> {
    const { session, hung } = open;
    if (!session.attached || open.auditing) return;
    open.auditing = true;
    const { clock, callTimeout } = this.options;
    const before = [...hung].map((one) => ({ one, held: one.share?.live === true, over: one.over }));
    try {
      const there = await ask(clock, callTimeout, async () => (await session.attached?.()) ?? []);
      const owners = new Set(there.map(({ owner }) => owner));
      for (const { one, held, over } of before) {
        if (owners.has(one.claim.owner)) {
          if (over && one.over === over) this.#letGo(one.claim, over.keepMs);
        } else if (over) {
          this.#forget(one);
        } else if (held && one.share?.live && !(await this.#isHolding(one.claim))) {
          one.share.lose('the server no longer has it: it was released by force, or its key was removed');
        }
      }
      for (const { key, owner } of there) {
        if (this.#hung.has(owner)) continue;
        this.#clear({ key, owner, mode: 'exclusive', limit: 1, ttl: open.ttl, claimTtl: open.ttl }, open);
      }
    } catch {
      // The next renewal brings the next audit.
    } finally {
      open.auditing = false;
    }
  }

  /** The list may be a moment older than the lock. */
  async #isHolding({ key, owner }: Claim): Promise<boolean> {
    const { clock, callTimeout } = this.options;
    const { holders } = await ask(clock, callTimeout, () => this.backend.inspect(key));
    return holders.some((holder) => holder.owner === owner);
  }

  /** Takes back what came to the server after its own release. */
  #clear(claim: Claim, open: Open): void {
    this.#move(this.#expect(claim), open);
    this.#letGo(claim, 0);
  }

  #letGo(claim: Claim, keepMs: number): void {
    const hung = this.#hung.get(claim.owner);
    if (!hung || hung.leaving) return;
    hung.leaving = true;
    // Ahead of its owner's release it would leave nothing for that to find, and a lock that was held would count as lost. One that
    // gets no answer is waited for but once.
    let owners = hung.releasing;
    const release = async (): Promise<boolean> => {
      const ahead = owners;
      owners = undefined;
      await ahead?.catch(() => undefined);
      return this.#release(hung, keepMs);
    };
    // As long as the session lives nobody else does it; when it ends, there is nothing left to do, and `release` says so.
    void this.options.undo().release(release, Infinity, () => undefined);
  }
}

/** What a lock has of the lease of its session: it ends with that, or before. */
class SessionLease extends Lease implements LeaseListener {
  /** @param renewed whether it lasts as long as the session does; otherwise for `ttl` at most */
  constructor(
    private readonly ownClock: Clock,
    claim: Claim,
    since: number,
    ttl: number,
    private readonly whole: Lease,
    private readonly renewed: boolean,
  ) {
    super(ownClock, { claim }, believedUntil(since, ttl), ttl);
  }

  override get live(): boolean {
    return this.whole.live && (this.renewed ? !this.ended : super.live);
  }

  override get validUntil(): number {
    return this.renewed ? this.whole.validUntil : Math.min(super.validUntil, this.whole.validUntil);
  }

  override get remainingMs(): number {
    return this.live ? Math.max(0, this.validUntil - this.ownClock.now()) : 0;
  }

  lost(reason: string): void {
    this.lose(reason);
  }
}

function falseIfEnded(error: unknown): false {
  if (error instanceof SessionEndedError) return false;
  throw error;
}

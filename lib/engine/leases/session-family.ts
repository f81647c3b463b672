import {
  type Attempt,
  type Busy,
  type Claim,
  type Conflict,
  type Grant,
  type SessionBackend,
  SessionEndedError,
  type Waiter,
} from '../../backends/backend.js';
import { type Attachment, Attachments, type OpenSession } from './attachments.js';
import type { Family, FamilyTools } from './family.js';
import type { Lease } from './lease.js';
import { SessionAudit } from './session-audit.js';
import { SessionLease } from './session-lease.js';
import { Sessions } from './sessions.js';
import { pushedAfter } from './validity.js';

/** Many locks hang from the lease of one session. */
export class SessionFamily implements Family {
  readonly attemptAll?: NonNullable<Family['attemptAll']>;
  readonly downgrade?: NonNullable<Family['downgrade']>;
  readonly pushedSince = pushedAfter;
  readonly #attachments = new Attachments();
  readonly #sessions: Sessions;
  readonly #audit: SessionAudit;
  readonly #renewals = new Map<OpenSession, Promise<boolean>>();
  #closing = false;

  constructor(
    private readonly backend: SessionBackend,
    private readonly tools: FamilyTools,
  ) {
    this.#sessions = new Sessions(backend, tools);
    const listener = {
      onLeftOver: (attachment: Attachment, keepMs: number) => this.#letGo(attachment, keepMs),
      onUnknown: (claim: Claim, open: OpenSession) => this.#clear(claim, open),
    };
    this.#audit = new SessionAudit(this.#attachments, listener, tools);
    if (backend.attemptAll) this.attemptAll = (claims) => this.#attemptAll(claims);
    if (backend.downgrade) {
      this.downgrade = async (claim) => {
        const open = this.#attachments.of(claim.owner)?.session;
        if (!open) return false;
        return this.#sessions.in(open, async () => (await backend.downgrade?.(claim, open.session)) ?? false);
      };
    }
  }

  async attempt(claim: Claim, waiter?: Waiter): Promise<Attempt> {
    const attachment = this.#attachments.expect(claim);
    const question = ++attachment.asked;
    if (waiter) attachment.waiter = waiter;
    const open = this.#sessionOf(attachment) ?? (await this.#openFor(attachment));
    const answer = await this.#sessions.in(open, () =>
      this.backend.attempt(claim, open.session, waiter && this.#boundTo(open, claim, waiter)),
    );
    if (answer.granted) attachment.grantedIn = open;
    const isOnServer = answer.granted || (waiter !== undefined && !('limit' in answer));
    const isNewest = question === attachment.asked;
    if (isOnServer && !this.#attachments.isWanted(attachment)) {
      // The owner gave up meanwhile. Its release may have overtaken the attempt and found nothing.
      this.#clear(claim, open);
    }
    // Only the newest answer may make us forget the claim: an older refusal can arrive after a grant, which must still be released.
    if (!isOnServer && isNewest) this.#attachments.forget(attachment);
    return answer;
  }

  /** A place in line belongs to one session, and so does the grant that is pushed to it. Under a later session it is only a hint. */
  #boundTo(open: OpenSession, { owner }: Claim, waiter: Waiter): Waiter {
    return {
      granted: (grant) => {
        const attachment = this.#attachments.of(owner);
        if (attachment?.session !== open) return waiter.look();
        attachment.grantedIn = open;
        waiter.granted(grant);
      },
      look: () => waiter.look(),
    };
  }

  async release({ owner }: Claim, keepMs: number): Promise<boolean> {
    const attachment = this.#attachments.of(owner);
    return attachment ? (attachment.releasing = this.#release(attachment, keepMs)) : false;
  }

  async #release(attachment: Attachment, keepMs: number): Promise<boolean> {
    attachment.over = { keepMs };
    attachment.waiter = undefined;
    const { claim, session: open } = attachment;
    // The end of the session releases all its locks in one call.
    if (this.#closing && keepMs === 0 && open?.lease.live) {
      this.#attachments.forget(attachment);
      return attachment.grantedIn === open;
    }
    // The server drops the locks of an ended session. A session that ended only by our clock may still have them.
    const held = open !== undefined && (await this.backend.release(claim, open.session, keepMs).catch(falseIfEnded));
    this.#attachments.forget(attachment);
    return held;
  }

  attach(claim: Claim, since: number, ttl: number, renewed: boolean): Lease | undefined {
    const attachment = this.#attachments.of(claim.owner);
    const open = attachment?.session;
    if (!attachment || !open || attachment.grantedIn !== open) return undefined;
    const { clock, watchdog } = this.tools;
    const lease = new SessionLease(clock, claim, since, ttl, open.lease, renewed);
    if (!lease.live) return undefined;
    attachment.waiter = undefined;
    attachment.lease = lease;
    open.lease.listen(lease);
    // Its session lives on, so only we can release it.
    if (!renewed) lease.listen({ lost: () => this.#letGo(attachment, 0) });
    // Its session renews it. The watchdog knows it for `extend`.
    watchdog.keep(lease, false);
    return lease;
  }

  detach(claim: Claim, lease: Lease): Promise<void> | undefined {
    lease.end();
    const attachment = this.#attachments.of(claim.owner);
    if (attachment?.lease) {
      attachment.session?.lease.unlisten(attachment.lease);
      attachment.over ??= { keepMs: 0 };
    }
    return this.tools.watchdog.drop(lease);
  }

  async renew(leases: readonly Lease[]): Promise<readonly (boolean | undefined)[]> {
    const [first] = leases;
    // A single renewal rejects with its own error. In a batch, an error is an unknown answer and does not touch the others.
    if (first && leases.length === 1) return [await this.#renew(first)];
    return Promise.all(leases.map((lease) => this.#renew(lease).catch(() => undefined)));
  }

  closing(): void {
    this.#closing = true;
  }

  close(): Promise<void> {
    return this.#sessions.close();
  }

  async #attemptAll(claims: readonly Claim[]): Promise<readonly Grant[] | Busy | Conflict | undefined> {
    const all = claims.map((claim) => this.#attachments.expect(claim));
    const [first] = all;
    if (!first) return [];
    const open = this.#sessionOf(first) ?? (await this.#openFor(first));
    for (const attachment of all) attachment.moveTo(open);
    const answer = await this.#sessions.in(open, async () => this.backend.attemptAll?.(claims, open.session));
    const granted = answer !== undefined && !('granted' in answer);
    for (const attachment of all) {
      if (granted) attachment.grantedIn = open;
      if (!granted) this.#attachments.forget(attachment);
      else if (!this.#attachments.isWanted(attachment)) this.#clear(attachment.claim, open);
    }
    return answer;
  }

  /** The open session that the claim was made in, or will be made in. */
  #sessionOf(attachment: Attachment): OpenSession | undefined {
    if (attachment.session?.lease.live) return attachment.session;
    const open = this.#sessions.openFor(attachment.claim.ttl);
    if (open) attachment.moveTo(open);
    return open;
  }

  async #openFor(attachment: Attachment): Promise<OpenSession> {
    const open = await this.#sessions.open(attachment.claim.ttl);
    // If the claim were sent now, it would arrive after its own release.
    if (!this.#attachments.isWanted(attachment)) throw new Error('it was given up while its session was opened');
    attachment.moveTo(open);
    return open;
  }

  /** To renew a lock is to renew its session. */
  async #renew({ subject }: Lease): Promise<boolean> {
    if ('session' in subject) return this.#sessions.renew(subject.session, (open) => void this.#audit.run(open));
    const attachment = this.#attachments.of(subject.claim.owner);
    if (!attachment?.session || !attachment.lease) return false;
    await this.#renewNow(attachment.session);
    return attachment.lease.live;
  }

  /** The locks of one session that are extended in one turn of the event loop share a renewal. */
  #renewNow(open: OpenSession): Promise<boolean> {
    const asked = this.#renewals.get(open);
    if (asked) return asked;
    const renewal = Promise.resolve().then(() => {
      this.#renewals.delete(open);
      return this.tools.watchdog.renewNow(open.lease);
    });
    this.#renewals.set(open, renewal);
    return renewal;
  }

  /** Releases a claim that reached the server after its own release. */
  #clear(claim: Claim, open: OpenSession): void {
    const attachment = this.#attachments.expect(claim);
    attachment.moveTo(open);
    this.#letGo(attachment, 0);
  }

  #letGo(attachment: Attachment, keepMs: number): void {
    if (attachment.leaving || this.#attachments.of(attachment.claim.owner) !== attachment) return;
    attachment.leaving = true;
    // The owner's own release goes first. After this one it would find nothing, and the lock would count as lost. It is awaited only once,
    // because it may never be answered.
    const ownersRelease = attachment.releasing?.catch(() => undefined);
    let tries = 0;
    const release = async (): Promise<boolean> => {
      if (tries++ === 0) await ownersRelease;
      return this.#release(attachment, keepMs);
    };
    // It is repeated while the session lives, because nobody else does it. When the session has ended, `release` resolves to `false`.
    void this.tools.retries.release(release, Infinity, () => undefined);
  }
}

function falseIfEnded(error: unknown): false {
  if (error instanceof SessionEndedError) return false;
  throw error;
}

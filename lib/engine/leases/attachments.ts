import type { Claim, Session, Waiter } from '../../backends/backend.js';
import type { Lease } from './lease.js';
import type { SessionLease } from './session-lease.js';

/** A session, its lease, and the claims attached to it. */
export class OpenSession {
  readonly #attachments = new Set<Attachment>();
  #idle = 0;

  /** @param ttl the length that was asked for */
  constructor(
    readonly session: Session,
    readonly lease: Lease,
    readonly ttl: number,
  ) {}

  get attachments(): readonly Attachment[] {
    return [...this.#attachments];
  }

  /** The number of attached claims. */
  get size(): number {
    return this.#attachments.size;
  }

  /** Call it with each renewal. Returns the number of renewals in a row at which nothing was attached. */
  countIdle(): number {
    this.#idle = this.#attachments.size > 0 ? 0 : this.#idle + 1;
    return this.#idle;
  }

  add(attachment: Attachment): void {
    this.#attachments.add(attachment);
  }

  delete(attachment: Attachment): void {
    this.#attachments.delete(attachment);
  }
}

/** A claim that the server may have something of. */
export class Attachment {
  /** The number of questions about it. Only the newest answer can say that the server has nothing of it. */
  asked = 0;
  /** The session of its last grant. Under another session that grant is void. */
  grantedIn: OpenSession | undefined;
  /** Set while it waits. If the session ends, the waiter loses its place. */
  waiter: Waiter | undefined;
  /** Its part in the lease of the session, while it is held. */
  lease: SessionLease | undefined;
  /** Set when its owner gave it up. */
  over: { readonly keepMs: number } | undefined;
  /** The owner's latest release, whose answer says whether it was held. */
  releasing: Promise<boolean> | undefined;
  /** Whether its release is being repeated until it is confirmed. */
  leaving = false;
  #session: OpenSession | undefined;

  constructor(readonly claim: Claim) {}

  /** The session of the last question about it. A release must name the same session. */
  get session(): OpenSession | undefined {
    return this.#session;
  }

  /** Attaches it to this session. */
  moveTo(session: OpenSession): void {
    this.#session?.delete(this);
    this.#session = session;
    session.add(this);
  }

  /** The server has nothing of it. It keeps its session, so that you can still read it. */
  forget(): void {
    if (this.lease) this.#session?.lease.unlisten(this.lease);
    this.#session?.delete(this);
  }
}

/** All claims of this process that the server may have something of, by owner. */
export class Attachments {
  readonly #byOwner = new Map<string, Attachment>();

  of(owner: string): Attachment | undefined {
    return this.#byOwner.get(owner);
  }

  /** The claim is about to be asked for. */
  expect(claim: Claim): Attachment {
    let attachment = this.#byOwner.get(claim.owner);
    if (!attachment) this.#byOwner.set(claim.owner, (attachment = new Attachment(claim)));
    attachment.over = undefined;
    return attachment;
  }

  /** Whether its owner still asks for it or holds it. If not, a grant from the server must be taken back. */
  isWanted(attachment: Attachment): boolean {
    return !attachment.over && this.#byOwner.get(attachment.claim.owner) === attachment;
  }

  forget(attachment: Attachment): void {
    this.#byOwner.delete(attachment.claim.owner);
    attachment.forget();
  }
}

import type { Claim, Session, Waiter } from '../../backends/backend.js';
import type { Lease } from './lease.js';
import type { SessionLease } from './session-lease.js';

/** A session, its lease, and what hangs from it. */
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

  /** How many claims hang from it. */
  get size(): number {
    return this.#attachments.size;
  }

  /** To be called with each renewal. Returns for how many in a row nothing has hung from it. */
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
  /** How often it was asked for. Only the last answer tells that nothing of it is there. */
  asked = 0;
  /** The session it was last granted in. Under another one that grant is void. */
  grantedIn: OpenSession | undefined;
  /** While it waits: if the session ends, it lost its place. */
  waiter: Waiter | undefined;
  /** Its part in the lease of the session, while it is held. */
  lease: SessionLease | undefined;
  /** It is not wanted any more, and was let go of so. */
  over: { readonly keepMs: number } | undefined;
  /** What its owner asked for last, whose answer says whether it was held. */
  releasing: Promise<boolean> | undefined;
  /** Its release is being tried until it is confirmed. */
  leaving = false;
  #session: OpenSession | undefined;

  constructor(readonly claim: Claim) {}

  /** The session it was last asked for in; a release must name the same one. */
  get session(): OpenSession | undefined {
    return this.#session;
  }

  /** From here on it hangs from this session. */
  moveTo(session: OpenSession): void {
    this.#session?.delete(this);
    this.#session = session;
    session.add(this);
  }

  /** The server has nothing of it. It still tells which session it was in. */
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

  /** Whether it is still asked for or held. Given up, what the server answers of it has to be taken back. */
  isWanted(attachment: Attachment): boolean {
    return !attachment.over && this.#byOwner.get(attachment.claim.owner) === attachment;
  }

  forget(attachment: Attachment): void {
    this.#byOwner.delete(attachment.claim.owner);
    attachment.forget();
  }
}

import { type Session, type SessionBackend, SessionEndedError } from '../../backends/backend.js';
import { ask } from '../asking/ask.js';
import { OpenSession } from './attachments.js';
import type { FamilyTools } from './family.js';
import { Lease } from './lease.js';
import { believedUntil } from './validity.js';
import { EXPIRED, sessionEnded } from './loss.js';

/** For so many renewals a session is kept that nothing hangs from: the next lock of its length nearly always comes sooner. */
const IDLE_RENEWALS = 12;

/**
 * The length of the session for leases of that length: at least as long, and by a twentieth longer at most. Leases whose lengths are
 * worked out would otherwise have a session each.
 */
function lengthFor(ttl: number): number {
  const step = 10 ** Math.floor(Math.log10(ttl)) / 20;
  return Math.ceil(Math.ceil(ttl / step - 1e-9) * step);
}

/** The session of one length of lease, from when it is asked for. */
interface Slot {
  readonly opening: Promise<OpenSession>;
  opened: OpenSession | undefined;
}

/** One session for each length of lease, or several where the first is full. Opened when first needed and kept alive while in use. */
export class Sessions {
  readonly #slots = new Map<number, Slot>();
  readonly #opened = new Map<Session, OpenSession>();

  constructor(
    private readonly backend: Pick<SessionBackend, 'open' | 'perSession'>,
    private readonly tools: Pick<FamilyTools, 'clock' | 'callTimeout' | 'watchdog'>,
  ) {}

  /** A session for leases of that length, if one is open and has room. */
  openFor(ttl: number): OpenSession | undefined {
    const length = lengthFor(ttl);
    const newest = this.#slots.get(length)?.opened;
    if (!newest || this.#canTake(newest)) return newest;
    // An earlier one may have room again. There are few of them.
    for (const opened of this.#opened.values()) if (opened.ttl === length && this.#canTake(opened)) return opened;
    return undefined;
  }

  /** The same, opened if it has to be. */
  async open(ttl: number): Promise<OpenSession> {
    const length = lengthFor(ttl);
    for (;;) {
      const slot = this.#slots.get(length) ?? this.#newSlot(length);
      const opened = await slot.opening;
      if (this.#canTake(opened)) return opened;
      // The timer that should have said so is late.
      if (!opened.lease.live) opened.lease.lose(EXPIRED);
      else if (this.#slots.get(length) === slot) this.#slots.delete(length);
    }
  }

  #canTake({ lease, size }: OpenSession): boolean {
    return lease.live && size < (this.backend.perSession ?? Infinity);
  }

  /** Renews it, or ends it if nothing has hung from it for long. @param onRenewed called when it still lived */
  async renew(session: Session, onRenewed: (open: OpenSession) => void): Promise<boolean> {
    const opened = this.#opened.get(session);
    if (opened) {
      if (opened.countIdle() > IDLE_RENEWALS) {
        this.#close(opened);
        // After this renewal, which its end waits for.
        void Promise.resolve().then(() => this.#end(opened));
        return true;
      }
    }
    const lives = await session.renew();
    if (lives && opened) onRenewed(opened);
    return lives;
  }

  /** Runs a verb in the session. The server may have forgotten it: then all that hung from it is lost. */
  async in<T>({ lease, session }: OpenSession, verb: () => Promise<T>): Promise<T> {
    try {
      return await verb();
    } catch (error) {
      if (error instanceof SessionEndedError) lease.lose(sessionEnded(session.id));
      throw error;
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#slots.values()].map(({ opening }) => opening));
    this.#slots.clear();
    await Promise.all([...this.#opened.values()].map((opened) => this.#end(opened)));
  }

  #newSlot(ttl: number): Slot {
    const slot: Slot = { opening: this.#open(ttl), opened: undefined };
    this.#slots.set(ttl, slot);
    slot.opening.then(
      (opened) => (slot.opened = opened),
      // Asked for anew by the next claim.
      () => this.#slots.delete(ttl),
    );
    return slot;
  }

  async #open(ttl: number): Promise<OpenSession> {
    const { clock, watchdog, callTimeout } = this.tools;
    const sentAt = clock.now();
    // A session that comes too late would be kept by nobody.
    const session = await ask(clock, callTimeout, () => this.backend.open(ttl), {
      late: (session) => void session.end().catch(() => undefined),
    });
    const lease = new Lease(clock, { session }, believedUntil(sentAt, session.ttl), session.ttl);
    const opened = new OpenSession(session, lease, ttl);
    this.#opened.set(session, opened);
    lease.listen({
      lost: () => {
        this.#close(opened);
        for (const { waiter } of opened.attachments) waiter?.look();
      },
    });
    watchdog.keep(lease, true);
    return opened;
  }

  /** Nothing new hangs from it. */
  #close(opened: OpenSession): void {
    this.#opened.delete(opened.session);
    const slot = this.#slots.get(opened.ttl);
    if (slot && (slot.opened ?? opened) === opened) this.#slots.delete(opened.ttl);
  }

  async #end(opened: OpenSession): Promise<void> {
    const { clock, watchdog, callTimeout } = this.tools;
    this.#opened.delete(opened.session);
    opened.lease.end();
    await watchdog.drop(opened.lease);
    // Unconfirmed, it ends by itself when its lease does.
    await ask(clock, callTimeout, () => opened.session.end()).catch(() => undefined);
  }
}

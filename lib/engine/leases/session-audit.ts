import type { Claim, Session, SessionBackend } from '../../backends/backend.js';
import { ask } from '../asking/ask.js';
import type { Attachment, Attachments, OpenSession } from './attachments.js';
import type { FamilyTools } from './family.js';
import { NOT_IN_SESSION } from './loss.js';

/** How many keys are asked for at once. */
const AT_ONCE = 32;

/** What is to be done about what an audit found. */
export interface AuditListener {
  /** The server still has a claim that was let go of. */
  onLeftOver(attachment: Attachment, keepMs: number): void;
  /** The server has a claim in this session that nobody here knows. */
  onUnknown(claim: Claim, open: OpenSession): void;
}

/**
 * Compares what hangs from a session with what should. A lock can go while its session stays (it was released by force), and its
 * holder is told. A request that was given up can arrive after its own release (from a member that was frozen), and what it left
 * would hang there as long as the process lives, in everybody's way.
 */
export class SessionAudit {
  readonly #running = new Set<Session>();

  constructor(
    private readonly backend: Pick<SessionBackend, 'inspect'>,
    private readonly attachments: Attachments,
    private readonly listener: AuditListener,
    private readonly tools: Pick<FamilyTools, 'clock' | 'callTimeout'>,
  ) {}

  async run(open: OpenSession): Promise<void> {
    const { session } = open;
    if (!session.attached || this.#running.has(session)) return;
    this.#running.add(session);
    try {
      await this.#compare(open);
    } catch {
      // The next renewal brings the next audit.
    } finally {
      this.#running.delete(session);
    }
  }

  async #compare(open: OpenSession): Promise<void> {
    const { clock, callTimeout } = this.tools;
    const before = open.attachments.map((attachment) => ({
      attachment,
      held: attachment.lease?.live === true,
      over: attachment.over,
    }));
    const there = await ask(clock, callTimeout, async () => (await open.session.attached?.()) ?? []);
    const owners = new Set(there.map(({ owner }) => owner));
    const missing: Attachment[] = [];
    for (const { attachment, held, over } of before) {
      const isThere = owners.has(attachment.claim.owner);
      if (isThere && over && attachment.over === over) this.listener.onLeftOver(attachment, over.keepMs);
      if (!isThere && over) this.attachments.forget(attachment);
      if (!isThere && !over && held) missing.push(attachment);
    }
    for (const { key, owner } of there) {
      if (this.attachments.of(owner)) continue;
      this.listener.onUnknown({ key, owner, mode: 'exclusive', limit: 1, ttl: open.ttl, claimTtl: open.ttl }, open);
    }
    await this.#loseUnlessAllHeld(missing);
  }

  /** The list may be a moment older than the lock, so each key itself is asked. What one of them fails with touches no other. */
  async #loseUnlessAllHeld(missing: readonly Attachment[]): Promise<void> {
    for (let from = 0; from < missing.length; from += AT_ONCE) {
      await Promise.allSettled(
        missing.slice(from, from + AT_ONCE).map((attachment) => this.#loseUnlessHeld(attachment)),
      );
    }
  }

  async #loseUnlessHeld({ claim, lease }: Attachment): Promise<void> {
    if (!lease?.live) return;
    const { clock, callTimeout } = this.tools;
    const { holders } = await ask(clock, callTimeout, () => this.backend.inspect(claim.key));
    if (holders.some(({ owner }) => owner === claim.owner)) return;
    lease.lose(NOT_IN_SESSION);
  }
}

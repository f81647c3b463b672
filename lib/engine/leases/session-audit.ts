import type { Claim, Session } from '../../backends/backend.js';
import { ask } from '../asking/ask.js';
import type { Attachment, Attachments, OpenSession } from './attachments.js';
import type { FamilyTools } from './family.js';
import { NOT_IN_SESSION } from './loss.js';

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
    const expected = before.filter(({ held }) => held).map(({ attachment }) => attachment.claim);
    const there = await ask(clock, callTimeout, async () => (await open.session.attached?.(expected)) ?? []);
    const owners = new Set(there.map(({ owner }) => owner));
    for (const { attachment, held, over } of before) {
      const isThere = owners.has(attachment.claim.owner);
      if (isThere && over && attachment.over === over) this.listener.onLeftOver(attachment, over.keepMs);
      if (!isThere && over) this.attachments.forget(attachment);
      if (!isThere && !over && held) attachment.lease?.lose(NOT_IN_SESSION);
    }
    for (const { key, owner } of there) {
      if (this.attachments.of(owner)) continue;
      this.listener.onUnknown({ key, owner, mode: 'exclusive', limit: 1, ttl: open.ttl, claimTtl: open.ttl }, open);
    }
  }
}

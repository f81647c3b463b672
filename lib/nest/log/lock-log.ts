import type { LoggerService } from '@nestjs/common';
import type { LockEngine } from '../../engine/engine.js';
import type { LockEvent, LockEventOf, LockEventType } from '../../lock/events.js';
import { messageOf } from '../../lock/messages.js';
import { BackendWatch } from './backend-watch.js';
import { FewLines } from './few-lines.js';
import type { LockLogOptions } from './lock-log.options.js';

type Log = Required<Pick<LoggerService, 'log' | 'warn' | 'error'>>;

/** How many locks one line names. */
const MOST_NAMED = 5;

/** Writes an engine's events to the application's log: what an operator must know without asking. */
export class LockLog {
  readonly #watch: BackendWatch;
  readonly #losses: FewLines;
  readonly #renewals: FewLines;
  readonly #stops: (() => void)[] = [];
  /** The owners whose renewal failed, until their lock is over. */
  readonly #failing = new Set<string>();
  #stopFailing: (() => void) | undefined;
  #closing = false;

  constructor(
    private readonly engine: LockEngine,
    private readonly parts: Required<LockLogOptions>,
    private readonly logger: Log,
  ) {
    const { name, backend } = engine;
    const where = `The lock backend "${name}" (${backend.kind}${backend.address ? ` at ${backend.address}` : ''})`;
    const warn = (line: string): void => void logger.warn(line);
    this.#losses = new FewLines(warn, (count) => `${count} more locks were lost on "${name}".`);
    this.#renewals = new FewLines(warn, (count) => `${count} more locks could not be renewed on "${name}".`);
    this.#watch = new BackendWatch(() => engine.ping(), {
      away: (error) => void logger.error(`${where} went away: ${messageOf(error)}`),
      back: (ms) => void logger.log(`${where} is back after ${seconds(ms)}.`),
    });
    const types: LockEventType[] = [];
    if (parts.losses) types.push('lost');
    if (parts.renewals || parts.backends) types.push('renewal-failed');
    if (parts.backends) types.push('release-unknown', 'failed');
    if (types.length > 0) this.#stops.push(engine.listen((event) => this.#hear(event), types));
  }

  /** The shutdown begins to wait for held locks. */
  closing(graceMs: number): void {
    if (this.#closing) return;
    this.#closing = true;
    // From here on the backend is away on purpose.
    this.#watch.stop();
    const { held } = this.engine;
    if (!this.parts.shutdown || held.length === 0 || graceMs === 0) return;
    this.logger.log(
      `The shutdown waits up to ${seconds(graceMs)} for ${counted(held.length)} on "${this.engine.name}": ${listed(held, heldLock)}.`,
    );
  }

  /** The time that the shutdown gives is over, and something is still held. */
  graceOver(): void {
    const { held } = this.engine;
    if (!this.parts.shutdown || held.length === 0) return;
    this.logger.warn(
      `The shutdown releases ${counted(held.length)} on "${this.engine.name}" although the work under it has not ended: ` +
        `${listed(held, heldLock)}. Give it more time with \`shutdownGrace\`, or \`onShutdown: 'abort'\` and an end when its \`signal\` aborts.`,
    );
  }

  closed(): void {
    this.#tellLeftBehind();
    for (const stop of [...this.#stops, this.#stopFailing]) stop?.();
    for (const lines of [this.#losses, this.#renewals]) lines.end();
    this.#watch.stop();
  }

  #tellLeftBehind(): void {
    const { leftBehind, name } = this.engine;
    const [first] = leftBehind;
    if (!this.parts.shutdown || !first) return;
    const count = leftBehind.length === 1 ? '1 lock stays' : `${leftBehind.length} locks stay`;
    this.logger.warn(
      `${count} on "${name}" until the lease ends, because the release was not confirmed: ${listed(leftBehind, ({ key }) => `"${key}"`)}. ` +
        `The reason: ${messageOf(first.error)}.`,
    );
  }

  #hear(event: LockEvent): void {
    switch (event.type) {
      case 'lost':
        if (this.parts.losses) this.#losses.add(() => lossLine(event));
        break;
      case 'renewal-failed':
        if (this.parts.renewals) this.#firstFailure(event);
        if (this.parts.backends) this.#watch.doubt();
        break;
      case 'failed':
        if (event.reasonCode === 'backend') this.#watch.doubt();
        break;
      case 'release-unknown':
        this.#watch.doubt();
        break;
      default:
    }
  }

  #firstFailure({ key, name, method, owner, backend, error, remainingMs }: LockEventOf<'renewal-failed'>): void {
    if (this.#failing.has(owner)) return;
    this.#failing.add(owner);
    // Listen only while a renewal fails, because a listener makes every release slower.
    this.#stopFailing ??= this.engine.listen(({ owner }) => this.#isOver(owner), ['released', 'lost']);
    this.#renewals.add(
      () =>
        `${described({ key, name, method })} on "${backend}" could not be renewed: ${messageOf(error)}. ` +
        `It is held for ${seconds(remainingMs)} more, and tried again until then.`,
    );
  }

  #isOver(owner: string): void {
    this.#failing.delete(owner);
    if (this.#failing.size > 0) return;
    this.#stopFailing?.();
    this.#stopFailing = undefined;
  }
}

type Named = Pick<LockEvent, 'key' | 'name' | 'method'>;

function lossLine(event: LockEventOf<'lost'>): string {
  return `${described(event)} on "${event.backend}" was lost after ${seconds(event.heldMs)}: ${event.reason}.`;
}

const described = ({ key, method }: Named): string => `The lock "${key}"${method ? ` of ${method}` : ''}`;

const heldLock = ({ key, method, heldMs }: Named & { readonly heldMs: number }): string =>
  `"${key}" (${method ? `${method}, ` : ''}held for ${seconds(heldMs)})`;

function listed<Item>(locks: readonly Item[], text: (lock: Item) => string): string {
  const first = locks.slice(0, MOST_NAMED).map(text);
  const more = locks.length - first.length;
  return first.join(', ') + (more > 0 ? ` and ${more} more` : '');
}

const counted = (count: number): string => (count === 1 ? 'one lock' : `${count} locks`);
const seconds = (milliseconds: number): string =>
  milliseconds < 1_000 ? `${Math.round(milliseconds)} ms` : `${Math.round(milliseconds / 100) / 10} s`;

import type { Holds } from './holding/holds.js';
import type { Clock } from './time/clock.js';

/** How long work has to stop after its grace is over, in milliseconds. */
const LAST_MOMENT_MS = 1_000;

interface Open {
  readonly holds: Pick<Holds, 'size' | 'aborting' | 'shutDown'>;
  readonly acquisitions: { readonly size: number };
}

/** Waits for the work under the locks of an engine that closes, and tells the work when its time is over. */
export class Shutdown {
  readonly #looks = new Set<() => void>();
  #grace: { readonly endsAt: number; readonly stop: () => void } | undefined;

  #onGraceOver: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly open: Open,
  ) {}

  /** An acquisition or a hold has ended. */
  look(): void {
    for (const look of this.#looks) look();
  }

  /** Resolves when all work that was told at once has ended, or the grace is over. */
  begin(graceMs: number, onGraceOver?: () => void): Promise<void> {
    const { holds } = this.open;
    if (this.#grace === undefined) {
      this.#onGraceOver = onGraceOver;
      const stop = graceMs === 0 ? () => undefined : this.clock.after(graceMs, () => this.#graceOver(), true);
      this.#grace = { endsAt: this.clock.now() + graceMs, stop };
    }
    if (graceMs > 0) holds.shutDown('abort');
    return this.#until(() => holds.aborting === 0, this.#left());
  }

  /** Resolves when no lock is held any more, or when the grace and the moment to stop are over. */
  async finish(graceMs: number): Promise<void> {
    const { holds, acquisitions } = this.open;
    const over = (): boolean => acquisitions.size === 0 && holds.size === 0;
    void this.begin(graceMs);
    // The grace may have begun long ago, because the HTTP server waits for its requests between the start of the shutdown and this call.
    await this.#until(over, this.#left());
    this.#grace?.stop();
    this.#graceOver();
    await this.#until(over, Math.min(graceMs, LAST_MOMENT_MS));
  }

  /** A cancelled acquisition ends soon, whatever the server does. */
  lastAcquisitions(): Promise<void> {
    return this.#until(() => this.open.acquisitions.size === 0, Infinity);
  }

  #graceOver(): void {
    if (this.open.holds.size > 0) this.#onGraceOver?.();
    this.#onGraceOver = undefined;
    this.open.holds.shutDown('finish');
  }

  #left(): number {
    return Math.max(0, (this.#grace?.endsAt ?? 0) - this.clock.now());
  }

  /** Resolves when `reached()` is true after an acquisition or a hold ended, or after the time limit. */
  async #until(reached: () => boolean, milliseconds: number): Promise<void> {
    // Set no timer for 0 ms: under the fake timers of a test it would never fire.
    if (reached() || milliseconds === 0) return;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        this.#looks.delete(look);
        cancel?.();
        resolve();
      };
      const look = (): void => {
        if (reached()) end();
      };
      const cancel = milliseconds === Infinity ? undefined : this.clock.after(milliseconds, end);
      this.#looks.add(look);
    });
  }
}

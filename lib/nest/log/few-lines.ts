import { type Clock, SystemClock } from '../../engine/time/clock.js';

/** So many lines are written in such a time, in milliseconds; the others are counted. A thousand locks may be lost together. */
const MOST = 10;
const PERIOD_MS = 10_000;

/** Writes what may come in a flood: some lines as they are, then how many more there were. */
export class FewLines {
  #written = 0;
  #left = 0;
  #cancel: (() => void) | undefined;

  /** @param rest what to write of those that were left out */
  constructor(
    private readonly write: (line: string) => void,
    private readonly rest: (count: number) => string,
    private readonly clock: Clock = new SystemClock(),
  ) {}

  add(line: () => string): void {
    this.#cancel ??= this.clock.after(PERIOD_MS, () => this.end(), true);
    if (this.#written >= MOST) this.#left += 1;
    else {
      this.#written += 1;
      this.write(line());
    }
  }

  /** Writes what was left out so far. */
  end(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#left > 0) this.write(this.rest(this.#left));
    this.#written = this.#left = 0;
  }
}

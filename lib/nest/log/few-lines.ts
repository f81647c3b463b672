import { type Clock, SystemClock } from '../../engine/time/clock.js';

/** So many lines are written in such a time, in milliseconds; the others are counted. A thousand locks may be lost together. */
const MOST = 10;
const PERIOD_MS = 10_000;

/** Limits a flood of log lines: writes some of them, then the number of the others. */
export class FewLines {
  #written = 0;
  #left = 0;
  #cancel: (() => void) | undefined;

  /** @param rest the text for the lines that were left out */
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

  /** Writes the number of lines that were left out. */
  end(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#left > 0) this.write(this.rest(this.#left));
    this.#written = this.#left = 0;
  }
}

/** After how many new keys at least the old ones are looked for. */
const FIRST_SWEEP = 1_000;
/** How many rows one statement looks at. */
const AT_A_TIME = 2_000;
/** A new key pays for looking at that many others. */
const SHARE = 8;

/** Forgets keys that nobody uses any more: a few now and then, as new ones come. Nothing else would ever shrink the table. */
export class Sweeper {
  #fresh = 0;
  #next = FIRST_SWEEP;
  #sweeping = false;

  /** @param sweep looks at so many keys after this one; resolves to where to go on and how many it looked at */
  constructor(private readonly sweep: (after: string, most: number) => Promise<readonly [string | null, number]>) {}

  /** A key is new to the server. */
  counted(): void {
    if (++this.#fresh < this.#next || this.#sweeping) return;
    this.#sweeping = true;
    this.#sweepAll()
      // What is not swept now is swept later.
      .catch(() => undefined)
      .finally(() => {
        this.#fresh = 0;
        this.#sweeping = false;
      });
  }

  async #sweepAll(): Promise<void> {
    let all = 0;
    for (let after: string | null = ''; after !== null;) {
      const [next, seen]: readonly [string | null, number] = await this.sweep(after, AT_A_TIME);
      all += seen;
      after = next;
    }
    this.#next = Math.max(FIRST_SWEEP, Math.ceil(all / SHARE));
  }
}

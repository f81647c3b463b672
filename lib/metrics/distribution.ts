/** How many values fell into which range: what Prometheus calls a histogram. */
export class Distribution {
  /** For each bound how many values were at most that and above the one before; the last one counts those above all bounds. */
  readonly counts: number[];
  sum = 0;
  count = 0;

  /** @param bounds upper ends, growing */
  constructor(readonly bounds: readonly number[]) {
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  add(value: number): void {
    let at = 0;
    while (at < this.bounds.length && value > (this.bounds[at] ?? Infinity)) at++;
    this.counts[at] = (this.counts[at] ?? 0) + 1;
    this.sum += value;
    this.count += 1;
  }

  reset(): void {
    this.counts.fill(0);
    this.sum = 0;
    this.count = 0;
  }
}

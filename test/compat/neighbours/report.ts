/** Says what is not as it should be, or that all is well; `neighbours.ts` in the folder above reads it. */
export class Report {
  readonly #wrong: string[] = [];

  /** Compares by what they print as. */
  expect(what: string, given: unknown, wanted: unknown): void {
    const [is, should] = [JSON.stringify(given), JSON.stringify(wanted)];
    if (is !== should) this.#wrong.push(`${what}: ${is}, not ${should}`);
  }

  /** What a client may never read: a key or a host. */
  expectNoSecret(what: string, answer: string): void {
    if (/customer:|jane|127\.0\.0\.1|ECONNREFUSED/.test(answer)) this.#wrong.push(`${what} tells: ${answer}`);
  }

  end(): void {
    process.stdout.write(this.#wrong.length === 0 ? 'all well\n' : `${this.#wrong.join('\n')}\n`);
    process.exit(this.#wrong.length === 0 ? 0 : 1);
  }
}

import type { ConsulClient } from './client.js';
import { inUrl, type Layout } from './layout.js';
import type { LineWatch } from './line-watch.js';
import { pause } from './pause.js';

/** At least so long between two answers, in milliseconds: every change of any lock answers the query, with all places there are. */
const PACE_MS = 50;
const WAIT_MS = 10_000;

/** The keys that have no blocking query of their own, because there are too many: one query tells which places are left. */
export class RootWatch {
  readonly #lines = new Set<LineWatch>();
  #abort: AbortController | undefined;

  constructor(
    private readonly client: ConsulClient,
    private readonly layout: Layout,
  ) {}

  add(line: LineWatch): void {
    this.#lines.add(line);
    if (this.#abort) return;
    this.#abort = new AbortController();
    void this.#repeat(this.#abort.signal);
  }

  /** Resolves to whether it was one of these. */
  remove(line: LineWatch): boolean {
    const known = this.#lines.delete(line);
    if (this.#lines.size === 0) this.close();
    return known;
  }

  /** One that is to have a query of its own. */
  take(): LineWatch | undefined {
    const [line] = this.#lines;
    if (line) this.remove(line);
    return line;
  }

  close(): void {
    this.#lines.clear();
    this.#abort?.abort();
    this.#abort = undefined;
  }

  async #repeat(signal: AbortSignal): Promise<void> {
    let index = 0;
    while (!signal.aborted) {
      try {
        const path = `/kv/${inUrl(`${this.layout.root}/`)}`;
        const query = { keys: '', ...(index > 0 && { index: `${index}` }) };
        const answer = await this.client.wait({ method: 'GET', path, query, waitMs: WAIT_MS, signal });
        if (signal.aborted) return;
        const left = new Set(answer.status === 200 ? (JSON.parse(answer.text) as readonly string[]) : []);
        for (const line of [...this.#lines]) line.report(left, answer.index);
        index = answer.index;
      } catch {
        // The next one tells all that this one would have.
      }
      await pause(PACE_MS);
    }
  }
}

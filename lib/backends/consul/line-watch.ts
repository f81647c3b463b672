import type { ObstacleListener } from '../line/driver.js';
import type { ConsulClient } from './client.js';
import { type ConsulPlace, type Entry, inUrl, type Layout } from './layout.js';
import { pause } from './pause.js';

/** After a query that failed, in milliseconds: whoever waits behind it waits for a lock. */
const PAUSE_MS = 200;

/** What one claim waits for. */
export interface Watch {
  /** Foremost first. It needs any one of them to go. */
  readonly obstacles: readonly ConsulPlace[];
  readonly listener: ObstacleListener<ConsulPlace>;
  /** How long a query for it stays open, in milliseconds. */
  readonly waitMs: number;
}

/** The waiters of this process in one line. */
export class LineWatch {
  /** In the order of the line. */
  readonly #watches: Watch[] = [];
  #query: { readonly target: string; readonly abort: AbortController } | undefined;
  #following = false;

  constructor(
    private readonly client: ConsulClient,
    private readonly layout: Layout,
    private readonly key: string,
  ) {}

  get empty(): boolean {
    return this.#watches.length === 0;
  }

  get foremost(): Watch | undefined {
    return this.#watches[0];
  }

  add(watch: Watch): void {
    const behind = this.#watches.findIndex((other) => orderOf(other) > orderOf(watch));
    this.#watches.splice(behind < 0 ? this.#watches.length : behind, 0, watch);
    if (this.#following) this.#ask();
  }

  remove(watch: Watch): void {
    const index = this.#watches.indexOf(watch);
    if (index >= 0) this.#watches.splice(index, 1);
    if (this.#following) this.#ask();
  }

  follow(): void {
    this.#following = true;
    this.#ask();
  }

  stop(): void {
    this.#following = false;
    this.#query?.abort.abort();
    this.#query = undefined;
  }

  /** These places are all that is left, at that index. Tells whoever waited for one that is not among them. */
  report(left: ReadonlySet<string>, index: number): void {
    for (const watch of [...this.#watches]) {
      const gone = watch.obstacles.find(({ path }) => !left.has(path));
      if (gone) tellGone(watch, gone, index);
    }
  }

  /** Asks for the foremost one, unless that is asked for already. */
  #ask(): void {
    const { foremost } = this;
    const target = foremost ? targetOf(foremost) : undefined;
    if (target === this.#query?.target) return;
    this.#query?.abort.abort();
    this.#query = undefined;
    if (!foremost || target === undefined) return;
    const abort = new AbortController();
    this.#query = { target, abort };
    void this.#repeat(foremost, abort.signal);
  }

  async #repeat(watch: Watch, signal: AbortSignal): Promise<void> {
    let index = Math.max(...watch.obstacles.map(({ modified }) => modified));
    while (!signal.aborted) {
      try {
        const [only] = watch.obstacles;
        const next =
          watch.obstacles.length === 1 && only
            ? await this.#askPlace(only, index, watch.waitMs, signal)
            : await this.#askLine(index, watch.waitMs, signal);
        if (next === undefined) return;
        // The server has lost its data: what it says next may be anything.
        if (next < index) throw new Error('the index went back');
        index = next;
      } catch {
        if (signal.aborted) return;
        await pause(PAUSE_MS);
      }
    }
  }

  /** The index to ask from next; `undefined` when the place is gone. */
  async #askPlace(place: ConsulPlace, index: number, waitMs: number, signal: AbortSignal): Promise<number | undefined> {
    const path = `/kv/${inUrl(place.path)}`;
    const answer = await this.client.wait({ method: 'GET', path, query: { index: `${index}` }, waitMs, signal });
    if (signal.aborted) return undefined;
    const [entry] = answer.status === 200 ? (JSON.parse(answer.text) as readonly Entry[]) : [];
    const now = entry && this.layout.line(this.key, [entry])[0];
    const watches = this.#watches.filter(
      ({ obstacles }) => obstacles.length === 1 && obstacles[0]?.path === place.path,
    );
    if (now?.created === place.created) {
      if (now.modified > index) for (const { listener } of watches) listener.changed(place, now, now.modified);
      return now.modified;
    }
    // A server that has only just become the leader may not know yet of the place.
    const at = now?.modified ?? answer.index;
    if (at > place.modified) {
      for (const watch of watches) tellGone(watch, place, at);
      return undefined;
    }
    for (const { listener } of watches) listener.missed();
    throw new Error('the server is behind');
  }

  async #askLine(index: number, waitMs: number, signal: AbortSignal): Promise<number> {
    const path = `/kv/${inUrl(this.layout.folder(this.key))}`;
    const query = { keys: '', index: `${index}` };
    const answer = await this.client.wait({ method: 'GET', path, query, waitMs, signal });
    if (signal.aborted) return index;
    const left = answer.status === 200 ? (JSON.parse(answer.text) as readonly string[]) : [];
    if (answer.index > index) this.report(new Set(left), answer.index);
    return answer.index;
  }
}

/** Nobody before that index is certain to have seen the place. */
function tellGone({ listener }: Watch, place: ConsulPlace, index: number): void {
  if (index > place.modified) listener.changed(place, undefined, index);
  else listener.missed();
}

const orderOf = ({ obstacles }: Watch): number => obstacles.at(-1)?.created ?? 0;

const targetOf = ({ obstacles }: Watch): string => obstacles.map(({ path, modified }) => `${path} ${modified}`).join();

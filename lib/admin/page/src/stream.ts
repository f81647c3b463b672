import type { Frame, Sort } from '../frame.js';

export interface View {
  readonly filter: string;
  readonly sort: Sort;
  readonly limit: number;
}

export type State = 'connecting' | 'live' | 'late' | 'lost';

/** Longer than the server ever is silent. */
const LATE_MS = 25_000;
/** How soon to try again where the browser does not, in milliseconds. */
const AGAIN_MS = 3_000;

/** The stream of frames for a view. One at a time; another view opens another one. */
export class Stream {
  #source: EventSource | undefined;
  #view: View | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly onFrame: (frame: Frame) => void,
    private readonly onState: (state: State) => void,
  ) {
    // A page that nobody sees costs the server nothing.
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) this.#close();
      else if (this.#view) this.open(this.#view);
    });
  }

  open(view: View): void {
    this.#view = view;
    this.#close();
    if (document.hidden) return;
    const query = new URLSearchParams({ events: '', filter: view.filter, sort: view.sort, limit: String(view.limit) });
    const source = new EventSource(`?${query}`);
    this.#source = source;
    source.addEventListener('message', ({ data }) => {
      this.#heard();
      this.onState('live');
      // It comes from the server that the page comes from.
      this.onFrame(JSON.parse(data as string) as Frame);
    });
    source.addEventListener('open', () => this.#heard());
    source.addEventListener('beat', () => this.#heard());
    source.addEventListener('error', () => {
      if (source.readyState !== EventSource.CLOSED) return this.onState('connecting');
      // The browser gives up after an answer such as 401 or 503.
      this.onState('lost');
      this.#again = setTimeout(() => this.open(view), AGAIN_MS);
    });
  }

  #heard(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.onState('late'), LATE_MS);
  }

  #close(): void {
    clearTimeout(this.#silence);
    clearTimeout(this.#again);
    this.#source?.close();
    this.#source = undefined;
  }
}

import type { WatchEvent, WatchResponse, WatchStream } from './client.js';
import type { Members } from './members.js';

/** After a break, in milliseconds; constant, because whoever waits behind it waits for a lock. */
const RECONNECT_MS = 100;
/** How long an unused stream stays open, in milliseconds: the next wait nearly always comes sooner. */
const LINGER_MS = 1_000;

export interface WatchListener {
  /** From this revision on nothing is missed; what happened until then has to be read. Comes again after each break. */
  watchedFrom(revision: number): void;
  happened(event: WatchEvent): void;
}

interface Watch {
  readonly id: string;
  readonly key: Buffer;
  readonly end: Buffer | undefined;
  readonly listener: WatchListener;
}

/**
 * All that this process watches, on one stream. A watch starts at the present revision and says which that was, rather than at a
 * past one: etcd serves the past from a loop that runs every 100 ms, and a watch that begins there is late for the present as well.
 */
export class Watches {
  readonly #watches = new Map<string, Watch>();
  #stream: WatchStream | undefined;
  #opening = false;
  #count = 0;
  #linger: NodeJS.Timeout | undefined;
  #reconnect: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(private readonly members: Members) {
    members.servers.onMove(() => this.#drop());
  }

  /** Watches a key, or all from `key` up to `end`; returns how to stop. */
  watch(key: Buffer, end: Buffer | undefined, listener: WatchListener): () => void {
    const watch: Watch = { id: String(++this.#count), key, end, listener };
    this.#watches.set(watch.id, watch);
    clearTimeout(this.#linger);
    if (this.#stream) this.#create(this.#stream, watch);
    else void this.#open();
    return () => {
      if (!this.#watches.delete(watch.id)) return;
      this.#stream?.write({ cancel_request: { watch_id: watch.id } });
      if (this.#watches.size > 0) return;
      // An open stream keeps the process alive, this timer does not.
      this.#linger = setTimeout(() => this.#hangUp(), LINGER_MS).unref();
    };
  }

  close(): void {
    this.#closed = true;
    this.#watches.clear();
    clearTimeout(this.#linger);
    clearTimeout(this.#reconnect);
    this.#hangUp();
  }

  async #open(): Promise<void> {
    if (this.#opening || this.#closed) return;
    this.#opening = true;
    const { servers } = this.members;
    const server = servers.current;
    try {
      const stream = await (await this.members.client(server)).watchClient.watch();
      const over = (): void => this.#broken(stream, server);
      stream.on('error', over);
      stream.on('end', over);
      if (this.#closed || this.#watches.size === 0 || server !== servers.current) {
        hangUp(stream);
        return this.#retry();
      }
      this.#stream = stream;
      stream.on('data', (response) => this.#receive(response));
      for (const watch of this.#watches.values()) this.#create(stream, watch);
    } catch {
      servers.leave(server);
      this.#retry();
    } finally {
      this.#opening = false;
    }
  }

  #create(stream: WatchStream, { id, key, end }: Watch): void {
    stream.write({ create_request: { key, ...(end && { range_end: end }), watch_id: id } });
  }

  #receive({ header, watch_id, created, canceled, events }: WatchResponse): void {
    const watch = this.#watches.get(watch_id);
    // Not the answer to a cancellation of ours: the login has run out, or the member has too much to do. The next stream logs in anew.
    if (canceled && (watch || created)) return this.#drop();
    if (!watch) return;
    if (created) watch.listener.watchedFrom(Number(header.revision));
    for (const event of events) watch.listener.happened(event);
  }

  #broken(stream: WatchStream, server: number): void {
    if (stream !== this.#stream) return;
    this.#stream = undefined;
    this.members.servers.leave(server);
    this.#retry();
  }

  /** Begins anew, with whichever member is in use now. */
  #drop(): void {
    this.#hangUp();
    this.#retry();
  }

  #hangUp(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream) hangUp(stream);
  }

  #retry(): void {
    if (this.#watches.size === 0 || this.#closed) return;
    clearTimeout(this.#reconnect);
    this.#reconnect = setTimeout(() => void this.#open(), RECONNECT_MS).unref();
  }
}

function hangUp(stream: WatchStream): void {
  // Ended first: etcd3 takes the cancellation of a writable stream for a failure, and hangs up on everybody else.
  stream.end();
  stream.cancel();
}

import type { ServerResponse } from 'node:http';
import { SAFE } from './http.js';
import type { Frame } from './page/frame.js';

/** How many browsers may watch at a time. */
export const MOST_VIEWERS = 100;
/** How long one stream goes on, in milliseconds. Then the browser asks for the next one, and the guards are asked again. */
const LONGEST_MS = 5 * 60_000;
/** How soon it does so, in milliseconds. */
const RETRY_MS = 1_000;
/** How long nothing is sent at most, in milliseconds, so that neither a proxy nor the page takes the stream for dead. */
const BEAT_MS = 10_000;

/** The streams of server-sent events to the browsers that watch. */
export class Viewers {
  readonly #ends = new Set<() => void>();
  #closed = false;

  /** Whether there is room for one more. */
  get open(): boolean {
    return !this.#closed && this.#ends.size < MOST_VIEWERS;
  }

  /**
   * Sends frames until the browser hangs up.
   * @param watch is given what takes each frame, when there is room for it, and returns how to stop
   */
  add(response: ServerResponse, watch: (show: (make: () => Frame) => void) => () => void): void {
    response.writeHead(200, { ...SAFE, 'Cache-Control': 'no-store, no-transform', ...STREAM });
    response.write(`retry: ${RETRY_MS}\n\n`);
    let latest: (() => Frame) | undefined;
    const send = (): void => {
      // A slow reader gets what is the latest when there is room again: each frame is complete.
      if (latest === undefined || response.writableNeedDrain) return;
      const frame = latest();
      latest = undefined;
      response.write(`data: ${JSON.stringify(frame)}\n\n`);
    };
    response.on('drain', send);
    const stop = watch((make) => {
      latest = make;
      send();
    });
    const beat = setInterval(() => response.write('event: beat\ndata: 1\n\n'), BEAT_MS).unref();
    const last = setTimeout(() => response.end(), LONGEST_MS).unref();
    const end = (): void => {
      clearInterval(beat);
      clearTimeout(last);
      this.#ends.delete(finish);
      stop();
    };
    const finish = (): void => void response.end();
    this.#ends.add(finish);
    response.once('close', end);
    // A browser that vanished between two writes.
    response.on('error', () => undefined);
  }

  /** Ends all streams, so that the server can close. */
  close(): void {
    this.#closed = true;
    for (const finish of this.#ends) finish();
  }
}

const STREAM = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  // nginx would keep it until it is whole.
  'X-Accel-Buffering': 'no',
} as const;

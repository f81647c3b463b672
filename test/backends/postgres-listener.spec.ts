import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Listener } from '../../lib/backends/postgres/listener.js';
import type { ListeningClient } from '../../lib/backends/postgres/pool.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A connection that answers until it is `silent`, as one that a firewall has forgotten. */
class Connection implements ListeningClient {
  silent = false;
  notify: ((message: { payload?: string }) => void) | undefined;
  connect = () => Promise.resolve();
  end = () => Promise.resolve();
  query = () => (this.silent ? new Promise<never>(() => undefined) : Promise.resolve({ rows: [] }));
  on(event: string, listener: (message: never) => void): this {
    if (event === 'notification') this.notify = listener as (message: { payload?: string }) => void;
    return this;
  }
}

it('a connection that has gone silent without an end is replaced, and everybody looks', async () => {
  const connections: Connection[] = [];
  const missed = vi.fn<() => void>();
  const listener = new Listener(
    'channel',
    async () => {
      connections.push(new Connection());
      return connections.at(-1)!;
    },
    async (_, payload) => connections.at(-1)?.notify?.({ payload }),
    { message: () => undefined, up: () => undefined, missed },
  );
  await listener.start();
  await vi.advanceTimersByTimeAsync(60_000);
  expect([connections.length, listener.up, missed.mock.calls.length]).toEqual([1, true, 0]);
  connections[0]!.silent = true;
  await vi.advanceTimersByTimeAsync(13_000);
  expect([connections.length, listener.up, missed.mock.calls.length]).toEqual([2, true, 1]);
  listener.close();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(connections.length).toBe(2);
});

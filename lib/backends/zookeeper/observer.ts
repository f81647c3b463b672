import { type Answer, is, ZooKeeperClient } from './client/index.js';
import type * as requests from './client/requests.js';
import type { ZooKeeperSettings } from './settings.js';

/** In milliseconds: nothing hangs from it, and it is not renewed, so it ends that long after its last question. */
const SESSION_MS = 10_000;

/**
 * Asks what belongs to no session of a lock. Whatever is asked on a session's own connection renews it on the server, and would keep
 * the places of a holder that has stopped to renew.
 */
export class Observer {
  #client: ZooKeeperClient | undefined;
  #closed = false;

  constructor(private readonly settings: ZooKeeperSettings) {}

  async ask<T>(request: requests.Request<T>): Promise<Answer<T>> {
    const client = this.#open();
    try {
      return await client.ask(request);
    } catch (error) {
      // It was not used for longer than its session, and nobody noticed.
      if (!is(error, 'SessionExpired') || this.#closed) throw error;
      return this.#open().ask(request);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const client = this.#client;
    this.#client = undefined;
    if (client?.state === 'connected') await client.close().catch(() => undefined);
    client?.destroy();
  }

  #open(): ZooKeeperClient {
    if (this.#closed) throw new Error('the ZooKeeper backend is closed');
    if (this.#client) return this.#client;
    const client = new ZooKeeperClient({ ...this.settings, sessionTimeout: SESSION_MS });
    this.#client = client;
    client.onState((state) => {
      if (state === 'connected' || client !== this.#client) return;
      // The next question begins anew, on another server if this one is in trouble.
      this.#client = undefined;
      if (state === 'suspended') client.destroy();
    });
    return client;
  }
}

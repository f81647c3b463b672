import { type Claim, type Session, SessionEndedError } from '../backend.js';
import { is, type WatchListener, type Answer, type ZooKeeperClient } from './client/index.js';
import * as requests from './client/requests.js';

/** A session that the locks of this process hang from: one connection to one of the servers. */
export class ZooKeeperSession implements Session {
  readonly id: string;
  readonly ttl: number;
  #ending: NodeJS.Timeout | undefined;

  /** @param placeAt which claim a node of this session is of */
  constructor(
    readonly client: ZooKeeperClient,
    private readonly placeAt: (path: string) => Pick<Claim, 'key' | 'owner'> | undefined,
    private readonly ended: (session: ZooKeeperSession) => void,
  ) {
    this.id = client.id;
    this.ttl = client.sessionTimeout;
    this.#endAfterSilence();
  }

  async renew(): Promise<boolean> {
    try {
      await this.client.renew();
    } catch (error) {
      if (is(error, 'SessionExpired', 'Closed')) return false;
      throw error;
    }
    this.#endAfterSilence();
    return true;
  }

  async attached(): Promise<readonly Pick<Claim, 'key' | 'owner'>[]> {
    const { value } = await this.ask(requests.ephemerals(this.client.at('')));
    return value.flatMap((path) => this.placeAt(path) ?? []);
  }

  async end(): Promise<void> {
    clearTimeout(this.#ending);
    await this.client.close();
    this.ended(this);
  }

  /** Ends nothing on the server, and comes back no more. */
  hangUp(): void {
    clearTimeout(this.#ending);
    this.client.destroy();
  }

  /** @throws SessionEndedError when nothing of it is left */
  async ask<T>(request: requests.Request<T>, listener?: WatchListener): Promise<Answer<T>> {
    try {
      return await this.client.ask(request, listener);
    } catch (error) {
      throw is(error, 'SessionExpired', 'Closed') ? new SessionEndedError(this) : error;
    }
  }

  /**
   * Nobody renews it any more, so nobody believes in it: its places are in everybody's way until the server notices, which it does not
   * while it is frozen. So it is ended by its own client, as soon as a server answers.
   */
  #endAfterSilence(): void {
    clearTimeout(this.#ending);
    const end = async (left: number): Promise<void> => {
      try {
        await this.end();
      } catch {
        // Each try takes as long as the session. After some the server has forgotten it by itself, or will when it is back.
        if (left > 0 && this.client.state !== 'closed') return end(left - 1);
        this.hangUp();
        this.ended(this);
      }
    };
    this.#ending = setTimeout(() => void end(MOST_TRIES), this.ttl).unref();
  }
}

const MOST_TRIES = 5;

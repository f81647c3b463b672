import type { Connection } from './connection.js';
import { ZooKeeperError } from './errors.js';

interface Waiting {
  send(connection: Connection): void;
  reject(error: ZooKeeperError): void;
}

/** The questions that were asked while there was no connection, in the order in which they were asked. */
export class WaitingQuestions {
  readonly #waiting = new Set<Waiting>();

  /**
   * Sends the question over the next connection.
   *
   * @param longest it is given up after that time, in milliseconds
   * @param why the latest reason why there is no connection
   * @throws ZooKeeperError when there was no connection in time
   */
  add<T>(
    send: (connection: Connection) => T | Promise<T>,
    longest: number,
    why: () => ZooKeeperError | undefined,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const limit = setTimeout(() => {
        this.#waiting.delete(waiting);
        reject(why() ?? new ZooKeeperError('ConnectionLoss', 'No ZooKeeper could be reached.'));
      }, longest);
      const waiting: Waiting = {
        send(connection) {
          clearTimeout(limit);
          resolve(send(connection));
        },
        reject(error) {
          clearTimeout(limit);
          reject(error);
        },
      };
      limit.unref();
      this.#waiting.add(waiting);
    });
  }

  sendAll(connection: Connection): void {
    for (const { send } of this.#taken()) send(connection);
  }

  refuseAll(error: ZooKeeperError): void {
    for (const { reject } of this.#taken()) reject(error);
  }

  #taken(): readonly Waiting[] {
    const all = [...this.#waiting];
    this.#waiting.clear();
    return all;
  }
}

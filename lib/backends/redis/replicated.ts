import { isGrant, type Listening, type Replicas, type Run } from './link.js';
import { type Connection, type Dial, DIAL_MS, OwnConnection } from './own-connection.js';
import { BEAT_MS } from './pulse.js';

/** A connection of our own, on which nothing is asked but what waits for replicas. */
export interface WaitingConnection extends Connection {
  readonly run: Run;
  /** `WAIT`: how many replicas have what this connection wrote, as soon as that is `count`, or after `timeoutMs`. */
  wait(count: number, timeoutMs: number): Promise<number>;
}

/** See `RedisLink.onReplicas`. The connection is opened by the first use. Grants that come together are waited for together. */
export function replicatedRunner(
  dial: Dial<WaitingConnection>,
  { count, timeoutMs }: Replicas,
): Listening & { readonly run: Run } {
  let used = false;
  // While it waits it answers nothing else, which is no silence.
  const connection = new OwnConnection(dial, {
    silentMs: timeoutMs + BEAT_MS,
    used() {
      const was = used;
      used = false;
      return was;
    },
  });
  const confirmed = new WeakMap<WaitingConnection, Promise<number>>();
  return {
    async run(script, keys, args) {
      used = true;
      const waiting = connection.current ?? (await connection.standing(DIAL_MS));
      const answer = await waiting.run(script, keys, args);
      if (!isGrant(answer)) return answer;
      // It counts what this connection wrote until here, so it may not be sent on any other.
      let acknowledged = confirmed.get(waiting);
      if (!acknowledged) {
        acknowledged = new Promise((resolve, reject) => {
          process.nextTick(() => {
            confirmed.delete(waiting);
            waiting.wait(count, timeoutMs).then(resolve, reject);
          });
        });
        confirmed.set(waiting, acknowledged);
      }
      const acks = await acknowledged;
      if (acks >= count) return answer;
      throw new Error(`only ${acks} of ${count} replicas confirmed the lock within ${timeoutMs} ms (\`waitReplicas\`)`);
    },
    renew: () => connection.renew(),
    close: () => connection.close(),
  };
}

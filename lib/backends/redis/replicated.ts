import { isGrant, type Replicas, type Run } from './link.js';

/** A connection of our own, on which nothing is asked but what waits for replicas. */
export interface WaitingConnection {
  readonly run: Run;
  /** `WAIT`: how many replicas have what this connection wrote, as soon as that is `count`, or after `timeoutMs`. */
  wait(count: number, timeoutMs: number): Promise<number>;
}

/** See `RedisLink.onReplicas`. The connection is opened by the first use. Grants that come together are waited for together. */
export function replicatedRunner(open: () => WaitingConnection, { count, timeoutMs }: Replicas): Run {
  let connection: WaitingConnection | undefined;
  let confirmed: Promise<number> | undefined;
  return async (script, keys, args) => {
    const waiting = (connection ??= open());
    const answer = await waiting.run(script, keys, args);
    if (!isGrant(answer)) return answer;
    // It counts what this connection wrote until here, so it may not be sent on any other.
    confirmed ??= new Promise((resolve, reject) => {
      process.nextTick(() => {
        confirmed = undefined;
        waiting.wait(count, timeoutMs).then(resolve, reject);
      });
    });
    const acks = await confirmed;
    if (acks >= count) return answer;
    throw new Error(`only ${acks} of ${count} replicas confirmed the lock within ${timeoutMs} ms (\`waitReplicas\`)`);
  };
}

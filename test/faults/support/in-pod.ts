import type { LockEngine } from '../../../lib/engine/engine.js';
import type { AcquireOptions, Lock } from '../../../lib/lock/lock.js';
import { eventually } from '../../servers/eventually.js';
import type { Pod } from './pod.js';

/** What a process can say of a lock that it got: when, by the machine's clock, and with which token. */
export interface Taken {
  readonly at: number;
  readonly token: bigint;
}

/** Acquires in the pod and keeps the lock there under its key. */
export function acquireIn(pod: Pod, key: string, options: AcquireOptions = {}): Promise<Taken> {
  return pod.run(
    async ({ engine, kept, now }, { key, options }) => {
      const lock: Lock = (kept[key] = await engine.acquire(key, options));
      return { at: now(), token: lock.fencingToken ?? 0n };
    },
    { key, options },
  );
}

/** Releases what `acquireIn` got; resolves to when that was asked of the server, and whether it was still held. */
export function releaseIn(pod: Pod, key: string): Promise<{ at: number; held: boolean }> {
  return pod.run(async ({ kept, now }, key) => {
    const at = now();
    return { at, held: await (kept[key] as Lock).release() };
  }, key);
}

/** Resolves when that many stand in the server's line for the key. */
export async function inLine(engine: LockEngine, key: string, count: number): Promise<void> {
  await eventually(`${count} wait for ${key}`, async () => (await engine.inspect(key)).waiting === count);
}

/** So many in each process wait for the key and let it go at once when they have it. Resolves to how many of each process had it. */
export function haveTurns(pods: readonly Pod[], key: string, count: number): Promise<number[]> {
  return Promise.all(
    pods.map((pod) =>
      pod.run(
        async ({ engine }, { key, count }) => {
          const each = async () => (await engine.acquire(key, { wait: '100s', ttl: '60s' })).release();
          return (await Promise.all(Array.from({ length: count }, each))).filter(Boolean).length;
        },
        { key, count },
      ),
    ),
  );
}

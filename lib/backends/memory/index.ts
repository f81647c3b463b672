import type { KeyBackend, LockBackend, Traits } from '../backend.js';
import { LockTable } from './lock-table.js';
import { processTime } from './process-time.js';

export const memoryTraits = {
  fencing: true,
  fifo: true,
  modes: ['exclusive', 'shared'],
  semaphores: true,
  minTtl: 10,
  minHold: true,
  survivesFailover: false,
} as const satisfies Traits;

/**
 * Locks that live in this process and end with it: for tests, for development, and for a service that runs once. Everything
 * works as on a server, fencing tokens and arrival order included, but no other process sees these locks. A process that stands still
 * loses none of the locks that it renews, because those who wait stand still with it.
 */
export function memory(): LockBackend {
  return memoryInside(new LockTable(processTime()));
}

/** The backend over a table that lives in the process of its holders. */
export function memoryInside(table: LockTable): KeyBackend {
  return {
    ...memoryOn(table),
    keepRenewed(isRenewed) {
      table.renewers.add(isRenewed);
      return () => table.renewers.delete(isRenewed);
    },
  };
}

/** The backend over a table of the caller's, which may have several views and a clock of its own. */
export function memoryOn(table: LockTable): KeyBackend {
  return {
    family: 'key',
    kind: 'memory',
    traits: memoryTraits,
    async ping() {},
    attempt: async (claim, waiter) => table.attempt(claim, waiter),
    attemptAll: async (claims) => table.attemptAll(claims),
    renew: async (claims) => table.renew(claims),
    release: async (claim, keepMs) => table.release(claim, keepMs),
    downgrade: async (claim) => table.downgrade(claim),
    handOver: {
      takeOver: async (claim, from, fencingToken) => table.takeOver(claim, from, fencingToken),
      release: async (claim, from, keepMs) => table.release(claim, keepMs, from),
    },
    inspect: async (key) => table.inspect(key),
    list: async (query) => table.list(query),
    forceRelease: async (key) => table.forceRelease(key).length > 0,
    onLost(listener) {
      table.victims.add(listener);
      return () => table.victims.delete(listener);
    },
    async close() {},
  };
}

import type { KeyBackend } from '../../lib/backends/backend.js';
import { memoryOn, memoryTraits } from '../../lib/backends/memory/index.js';
import type { WitnessedTable } from './witness.js';

/** A server without a line: whoever waits asks again and again, woken now and then by a `watch` if there is one. */
export function lineless(table: WitnessedTable, { watch }: { readonly watch: boolean }): KeyBackend {
  const backend: KeyBackend = {
    ...memoryOn(table),
    kind: 'lineless model',
    traits: { ...memoryTraits, fifo: false },
    attempt: async (claim) => table.attempt(claim),
  };
  if (!watch) return backend;
  return {
    ...backend,
    watch(key, wake) {
      const tell = (freed: string): void => {
        if (freed === key) wake();
      };
      table.freed.add(tell);
      return () => table.freed.delete(tell);
    },
  };
}

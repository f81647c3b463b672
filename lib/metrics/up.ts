import type { InstrumentedBackend } from '../lock/instrumentation.js';

/** How long is waited for a backend that says nothing, in milliseconds: Prometheus itself gives up after 10 s. */
const PING_MS = 1_000;

/** 1 if a lock can be taken on the backend at present, otherwise 0. */
export function up(backend: InstrumentedBackend): Promise<0 | 1> {
  return backend.ping({ timeout: PING_MS }).then(
    () => 1,
    () => 0,
  );
}

import { performance } from 'node:perf_hooks';
import type { BackendClock } from '../backend.js';

const after: BackendClock['after'] = (ms, run, background = false) => {
  const timer = setTimeout(run, ms);
  if (background) timer.unref();
  return () => clearTimeout(timer);
};

/** For a quorum that is used without an engine, which would lend it its own. */
export const systemClock: BackendClock = { now: () => performance.now(), after, limit: after };

interface Listening {
  readonly runs: Set<() => void>;
  readonly listener: () => void;
}

const listening = new WeakMap<AbortSignal, Listening>();

/**
 * Calls `run` when the signal aborts. Returns how to stop listening. The signal gets one listener, however many calls listen: Node warns of
 * a leak from the eleventh on, and a thousand waiters may share one signal. The last call removes it, because Node keeps an
 * `AbortSignal.any` in memory while it has a listener and its sources live.
 */
export function onAbort(signal: AbortSignal, run: () => void): () => void {
  const { runs, listener } = listening.get(signal) ?? listenTo(signal);
  runs.add(run);
  return () => {
    runs.delete(run);
    if (runs.size > 0 || listening.get(signal)?.runs !== runs) return;
    listening.delete(signal);
    signal.removeEventListener('abort', listener);
  };
}

function listenTo(signal: AbortSignal): Listening {
  const runs = new Set<() => void>();
  const made = { runs, listener: () => runs.forEach((run) => run()) };
  listening.set(signal, made);
  signal.addEventListener('abort', made.listener, { once: true });
  return made;
}

/**
 * Makes `signal.aborted` call `look` before it answers. `look` may abort it, so the answer is right after a stall, before any timer or
 * listener could run.
 */
export function lookFirst(signal: AbortSignal, look: () => void): void {
  const aborted = Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted')?.get;
  if (!aborted) return;
  Object.defineProperty(signal, 'aborted', {
    configurable: true,
    get: () => {
      look();
      return aborted.call(signal) as boolean;
    },
  });
}

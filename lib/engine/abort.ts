const listeners = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `run` when the signal aborts; returns how to stop that. However many listen, the signal itself gets one listener: Node
 * warns of a leak from the eleventh on, and a thousand waiters may share one signal.
 */
export function onAbort(signal: AbortSignal, run: () => void): () => void {
  let running = listeners.get(signal);
  if (!running) {
    running = new Set();
    listeners.set(signal, running);
    const all = running;
    signal.addEventListener('abort', () => all.forEach((listener) => listener()), { once: true });
  }
  running.add(run);
  return () => running.delete(run);
}

/**
 * Has `signal.aborted` call `look` before it answers, which may abort it: so it is right at the first look after a stall, before any
 * timer or listener could run.
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

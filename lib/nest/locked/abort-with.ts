/** As `AbortSignal.any`, which keeps long-lived signals and their followers in memory; returns how to stop following. */
export function follow(signals: readonly (AbortSignal | undefined)[], controller: AbortController): () => void {
  const unfollow = signals.map((signal) => {
    const abort = () => controller.abort(signal?.reason);
    if (signal?.aborted === true) abort();
    signal?.addEventListener('abort', abort, { once: true });
    return () => signal?.removeEventListener('abort', abort);
  });
  return () => unfollow.forEach((stop) => stop());
}

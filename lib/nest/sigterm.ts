import type { Logger } from '@nestjs/common';

/** `enableShutdownHooks()` is called after the application was made, in `main.ts`. */
const PATIENCE_MS = 5_000;

/** Warns when nothing listens for SIGTERM. Returns how to cancel the check. */
export function watchForSigterm(logger: Pick<Logger, 'warn'>): () => void {
  // A test closes its application itself.
  if (process.env['NODE_ENV'] === 'test') return () => undefined;
  const timer = setTimeout(() => {
    if (process.listenerCount('SIGTERM') > 0) return;
    logger.warn(
      'Nobody listens for SIGTERM, so a stopped process leaves its locks on the server and the next one waits for their whole `ttl`. ' +
        'Call app.enableShutdownHooks() in main.ts.',
    );
  }, PATIENCE_MS);
  timer.unref();
  return () => clearTimeout(timer);
}

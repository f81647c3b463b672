/**
 * Runs a function that a user handed in, such as a listener. If it fails, the error becomes a warning of the process, because it must not
 * end a lock, a term or a wait.
 *
 * @param type its owner, as the warning's name
 */
export function orWarn(type: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    warnOf(type, error);
  }
}

/** As `orWarn`, for places where a closure for each call would cost too much. */
export function warnOf(type: string, error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error), type);
}

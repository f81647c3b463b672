/**
 * Runs what somebody else handed in: a listener, or a way to stop one. Its failure is its own and becomes a warning of the process, which
 * must not end a lock, a term or a wait.
 *
 * @param type whose it is, as the warning's name
 */
export function orWarn(type: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    warnOf(type, error);
  }
}

/** As `orWarn`, for where a function for each call would cost too much. */
export function warnOf(type: string, error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error), type);
}

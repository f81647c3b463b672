/** A program that begins with `npx nestjs-distributed-lock <name>`. */
export interface Command {
  readonly name: string;
  /** What follows the name, such as `--sql [--schema <name>]`. */
  readonly usage: string;
  readonly summary: string;
  /**
   * What to print. A promise, where it has to ask a server.
   * @throws UsageError when the arguments make no sense
   */
  run(args: readonly string[]): string | Promise<string>;
}

/** The arguments make no sense; the message says which, and how to use the command is shown with it. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

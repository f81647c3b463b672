/** A program that begins with `npx nestjs-distributed-lock <name>`. */
export interface Command {
  readonly name: string;
  /** What follows the name, such as `--sql [--schema <name>]`. */
  readonly usage: string;
  readonly summary: string;
  /** More for `--help`, such as what each option means. */
  readonly details?: string;
  /**
   * Does the work. A promise, where it has to ask a server.
   * @returns what to print for a run that went well, or the whole outcome
   * @throws UsageError when the arguments make no sense
   */
  run(args: readonly string[], terminal: Terminal): string | Outcome | Promise<string | Outcome>;
}

/** What a run comes to: what is printed where, and the exit code of the process. */
export interface Outcome {
  /** 0: done. 1: it failed, as when the server does not answer. 2: wrong arguments. 3: nobody holds the key. */
  readonly code: 0 | 1 | 2 | 3;
  readonly out: string;
  readonly err: string;
}

/** The process around a run. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Asks a yes-or-no question. Absent where nobody sits at the terminal. */
  readonly ask?: (question: string) => Promise<boolean>;
}

/** The arguments make no sense; the message says which, and how to use the command is shown with it. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

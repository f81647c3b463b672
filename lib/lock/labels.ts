/** The labels of a call for a lock besides its key. */
export interface Labels {
  /** What the lock is for, one of few, such as `order:<id>`; see `AcquireOptions.name`. */
  readonly name: string | undefined;
  /** The locked method, such as `Orders.place`. */
  readonly method: string | undefined;
}

/** What a decorator adds to the options of a lock. */
export interface DecoratorLabels extends Labels {
  /** Whether the caller handles a busy key, so that it is not a failure. */
  readonly skips: boolean;
}

/** Their place on the options: a global symbol, so that two copies of this package agree, and users do not see it. */
export const LABELS = Symbol.for('nestjs-distributed-lock:labels');

export interface Labelled {
  readonly [LABELS]?: DecoratorLabels;
}

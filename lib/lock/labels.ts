/** What a call for a lock is called besides its key. */
export interface Labels {
  /** What the lock is for, one of few, such as `order:<id>`; see `AcquireOptions.name`. */
  readonly name: string | undefined;
  /** The locked method, such as `Orders.place`. */
  readonly method: string | undefined;
}

/** What a decorator says beside the options of a lock. */
export interface DecoratorLabels extends Labels {
  /** Whether the caller knows what to do instead when the key is busy, so that this is no failure. */
  readonly skips: boolean;
}

/** Where they stand on the options: by global symbol, for two copies of this package, and out of sight of users. */
export const LABELS = Symbol.for('nestjs-distributed-lock:labels');

export interface Labelled {
  readonly [LABELS]?: DecoratorLabels;
}

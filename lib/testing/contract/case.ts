import type { Fault } from './fixture.js';
import type { Stage } from './stage.js';

/** One promise and its proof. */
export interface Case {
  readonly name: string;
  /** Faults without which the proof cannot be made. */
  readonly needs?: readonly Fault[];
  /** Mostly waits for leases to end, so it runs beside others that do. */
  readonly patient?: true;
  /** Takes many seconds and minds nothing that others do: it starts with the suite and is looked at in its turn. */
  readonly background?: true;
  readonly run: (stage: Stage) => Promise<void>;
}

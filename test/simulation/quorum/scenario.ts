import type { Dice } from '../dice.js';
import type { Quality, Scenario } from '../scenario.js';

/** What is certain about a run over a quorum before it begins. */
export interface QuorumScenario extends Scenario {
  readonly servers: number;
  /** How long one server is waited for, in milliseconds. */
  readonly nodeTimeout: number;
  readonly fencing: boolean;
  /** Whether servers that are restarted lose their data. */
  readonly forgetful: boolean;
  /** How long a server that was restarted empty gives no votes, in milliseconds. */
  readonly guardMs: number;
}

export function drawQuorumScenario(dice: Dice, quality: Quality): QuorumScenario {
  const ttl = dice.whole(300, 1_000);
  const ttls = dice.chance(0.3) ? [ttl, Math.round(ttl * 1.5)] : [ttl];
  const fencing = dice.chance(0.4);
  const trouble = { good: 0.6, poor: 1.2, terrible: 2 }[quality] * ttl;
  return {
    shape: 'key',
    ordered: dice.chance(0.5),
    attemptAll: false,
    fair: true,
    attached: false,
    processes: dice.whole(2, 4),
    workers: dice.whole(1, 3),
    keys: dice.pick([
      [{ name: 'mutex', kind: 'mutex', limit: 1 }],
      // With tokens there are no readers.
      [{ name: 'file', kind: fencing ? 'mutex' : 'file', limit: 1 }],
      [
        { name: 'a', kind: 'mutex', limit: 1 },
        { name: 'b', kind: 'mutex', limit: 1 },
      ],
    ] as const),
    ttls,
    callTimeout: 2_000,
    horizon: dice.whole(2_000, 6_000),
    calm: { good: 900, poor: 450, terrible: 300 }[quality],
    trouble,
    deaths: 0.2,
    closings: 0.15,
    forces: 0,
    naps: false,
    restarts: false,
    clashes: 0,
    servers: dice.pick([3, 3, 3, 4, 5, 5, 5, 5]),
    nodeTimeout: dice.whole(40, 150),
    fencing,
    forgetful: dice.chance(0.6),
    // The longest lease that a worker asks for.
    guardMs: Math.max(...ttls) * 3,
  };
}

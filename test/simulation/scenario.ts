import type { Dice } from './dice.js';

export const qualities = ['good', 'poor', 'terrible'] as const;
export type Quality = (typeof qualities)[number];

/** What sort of server it is. */
export type Shape = 'key' | 'session' | 'watched' | 'polled';

export interface Key {
  readonly name: string;
  readonly kind: 'mutex' | 'file' | 'pool';
  readonly limit: number;
}

/** What is certain about a run before it begins. */
export interface Scenario {
  readonly shape: Shape;
  /** Whether requests arrive in the order they were sent. */
  readonly ordered: boolean;
  readonly attemptAll: boolean;
  /** Whether everybody is to be served in turn, or nobody needs to be. */
  readonly fair: boolean;
  /** Whether a session can tell what hangs from it. */
  readonly attached: boolean;
  readonly processes: number;
  readonly workers: number;
  readonly keys: readonly Key[];
  readonly ttls: readonly number[];
  readonly callTimeout: number;
  /** After this nothing new is begun and nothing bad happens any more. */
  readonly horizon: number;
  /** How long things stay well, in milliseconds, on average. */
  readonly calm: number;
  /** How long whatever goes wrong lasts, at most. */
  readonly trouble: number;
  readonly deaths: number;
  readonly closings: number;
  readonly forces: number;
  /** Whether the machines of processes sleep, and have their wall clocks set. */
  readonly naps: boolean;
  /** Whether the server is restarted: its connections end, and what is on its way is lost. */
  readonly restarts: boolean;
  /** Whether it may lose its data by that. */
  readonly forgetful: boolean;
  /** How often somebody asks for a key with another limit than the others. */
  readonly clashes: number;
}

export function drawScenario(dice: Dice, quality: Quality): Scenario {
  const shape = dice.weighted<Shape>({ key: 5, session: 3, watched: 1, polled: 1 });
  const limit = dice.whole(2, 3);
  const keys = dice.pick<readonly Key[]>([
    [{ name: 'mutex', kind: 'mutex', limit: 1 }],
    [{ name: 'file', kind: 'file', limit: 1 }],
    [
      { name: 'mutex', kind: 'mutex', limit: 1 },
      { name: 'file', kind: 'file', limit: 1 },
    ],
    [
      { name: 'pool', kind: 'pool', limit },
      { name: 'file', kind: 'file', limit: 1 },
    ],
    [
      { name: 'a', kind: 'mutex', limit: 1 },
      { name: 'b', kind: 'mutex', limit: 1 },
      { name: 'pool', kind: 'pool', limit },
    ],
  ]);
  const ttl = dice.chance(0.1) ? dice.whole(3_500, 5_000) : dice.whole(250, 900);
  const attached = dice.chance(0.5);
  return {
    shape,
    attached,
    // What comes to the server after its own release would hang from the session for good, if that could not tell.
    ordered: (shape === 'session' && !attached) || dice.chance(0.3),
    attemptAll: dice.chance(0.5),
    fair: shape !== 'key' || dice.chance(0.7),
    processes: dice.whole(2, 3),
    workers: dice.whole(2, 3),
    keys,
    ttls: dice.chance(0.3) ? [ttl, Math.round(ttl * 1.7)] : [ttl],
    callTimeout: dice.whole(80, 400),
    naps: dice.chance(0.3),
    restarts: dice.chance(0.3),
    // What hangs from a session is lost with it, which is an end of a session like any other.
    forgetful: shape !== 'session' && dice.chance(0.5),
    clashes: dice.chance(0.3) ? 0.1 : 0,
    ...{
      good: {
        horizon: dice.whole(1_500, 3_500),
        calm: 900,
        trouble: 0.6 * ttl,
        deaths: 0.1,
        closings: 0.1,
        forces: 0.1,
      },
      poor: {
        horizon: dice.whole(2_000, 5_000),
        calm: 450,
        trouble: 1.2 * ttl,
        deaths: 0.2,
        closings: 0.15,
        forces: 0.15,
      },
      terrible: {
        horizon: dice.whole(3_000, 7_000),
        calm: 400,
        trouble: 2 * ttl,
        deaths: 0.3,
        closings: 0.2,
        forces: 0.2,
      },
    }[quality],
  };
}

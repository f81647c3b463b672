import type { AcquireOptions } from '../../../lock/lock.js';
import type { Case } from '../case.js';
import { sleep, together, within } from '../patience.js';
import { Recorder } from '../recorder.js';
import { assertRefused, LONG, type Stage } from '../stage.js';
import { pick } from './mutex.js';

interface Kind {
  readonly name: string;
  /** What the worker asks for in the round. */
  readonly options: (worker: number, round: number) => Pick<AcquireOptions, 'mode' | 'limit'>;
  readonly servedBy: (traits: Stage['traits']) => boolean;
}

const kinds: readonly Kind[] = [
  { name: 'exclusive', options: () => ({}), servedBy: () => true },
  {
    name: 'shared',
    options: (worker, round) => ({ mode: (worker + round) % 4 === 0 ? 'exclusive' : 'shared' }),
    servedBy: ({ modes }) => modes.includes('shared'),
  },
  { name: 'limit 5', options: () => ({ limit: 5 }), servedBy: ({ semaphores }) => semaphores },
];

/** Every combination under load, judged by the history checker. */
export const matrixCases: readonly Case[] = kinds.flatMap((kind) =>
  [true, false].flatMap((fair) =>
    [1, 3].map((count): Case => ({
      name: `${kind.name}, ${fair ? 'fair' : 'not fair'}, ${count === 1 ? 'one key' : 'several keys'}`,
      run: (stage) => contend(stage, kind, fair, count),
    })),
  ),
);

async function contend(stage: Stage, kind: Kind, fair: boolean, count: number): Promise<void> {
  const engines = await stage.engines(3);
  const keys = Array.from({ length: count === 1 ? 1 : 4 }, () => stage.key());
  const options = (worker: number, round: number) => ({ ...kind.options(worker, round), fair, ttl: LONG, wait: LONG });
  if (!kind.servedBy(stage.traits)) return assertRefused(pick(engines, 0).acquire(keys, options(1, 1)));
  if (fair && !stage.traits.fifo) return assertRefused(pick(engines, 0).acquire(keys, options(0, 0)), 'fair');
  const recorder = new Recorder(engines);
  const contention = together(15, async (worker) => {
    for (let round = 0; round < 6; round++) {
      const wanted = Array.from({ length: count }, (_, step) => pick(keys, worker + round * step));
      await recorder.hold(pick(engines, worker), wanted, options(worker, round), () => sleep((worker + round) % 3));
    }
  });
  await within(25_000, 'everybody had all turns', contention);
  stage.assertCorrect(recorder, { fifo: fair });
  await stage.assertNoResidue(...keys);
}

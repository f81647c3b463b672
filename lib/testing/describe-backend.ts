import { strict as assert } from 'node:assert';
import type { Case } from './contract/case.js';
import { crowdCases } from './contract/cases/crowd.js';
import { endingsCases } from './contract/cases/endings.js';
import { eventCases } from './contract/cases/events.js';
import { holdingCases } from './contract/cases/holding.js';
import { listingCases } from './contract/cases/listing.js';
import { matrixCases } from './contract/cases/matrix.js';
import { mutexCases, mutexKinds } from './contract/cases/mutex.js';
import { nameCases } from './contract/cases/names.js';
import { portCases } from './contract/cases/port.js';
import { portLineCases } from './contract/cases/port-line.js';
import { portStateCases } from './contract/cases/port-state.js';
import { takingOverCases } from './contract/cases/taking-over.js';
import { readersWritersCases } from './contract/cases/readers-writers.js';
import { reentrancyCases } from './contract/cases/reentrancy.js';
import { safetyCases } from './contract/cases/safety.js';
import { semaphoreCases } from './contract/cases/semaphores.js';
import { serverFaultCases } from './contract/cases/server-faults.js';
import { severalKeysCases } from './contract/cases/several-keys.js';
import { unknownCases } from './contract/cases/unknown.js';
import { waitingCases } from './contract/cases/waiting.js';
import type { BackendFixture, TestHarness } from './contract/fixture.js';
import { Stage } from './contract/stage.js';

/**
 * What every backend owes, as tests: the verbs of the port, each promise of the design, every combination of mode, limit,
 * fairness and number of keys. What a backend says it cannot do, it has to refuse in so many words.
 *
 * It takes the words of the test runner, so that it runs under vitest, Jest and `node:test`; give it 30 s for each test.
 *
 * ```ts
 * describeBackend('redis', { describe, it, beforeAll, afterAll }, { create: () => redis({ url }), ttl: 1_000 });
 * ```
 */
export function describeBackend(name: string, harness: TestHarness, fixture: BackendFixture): void {
  const { describe, it, beforeAll, afterAll } = harness;
  const missing = ({ needs = [] }: Case) => needs.filter((fault) => !fixture.faults?.[fault]);
  const all = contract.flatMap(([, cases]) => cases);
  const run = inBatches(
    fixture,
    all.filter((one) => missing(one).length === 0),
  );
  describe(`${name} keeps the contract`, () => {
    beforeAll(async () => fixture.start?.());
    afterAll(async () => fixture.stop?.());
    for (const [title, cases] of contract) {
      // What the fixture cannot do to its server, such as freezing one that is this process, cannot be asked for.
      const possible = cases.filter((one) => missing(one).length === 0);
      if (possible.length === 0) continue;
      describe(title, () => {
        for (const one of possible) it(one.name, () => run(one));
      });
    }
  });
}

const endCases: readonly Case[] = [
  {
    name: 'a backend that says its locks survive a failover was put to one',
    async run({ traits, faults }) {
      assert(
        !traits.survivesFailover || faults.failover,
        'the trait `survivesFailover` needs `faults.failover` to be proved',
      );
    },
  },
  {
    name: 'nothing of all this is left on the server',
    needs: ['residue'],
    run: (stage) => stage.assertNoResidue(),
  },
];

const contract: readonly (readonly [title: string, cases: readonly Case[]])[] = [
  ['the port', [...portCases, ...portLineCases, ...portStateCases]],
  ['taking over', takingOverCases],
  ['names', nameCases],
  ['the list of locks', listingCases],
  ['promises: who is inside', [...safetyCases, ...unknownCases]],
  ['promises: who waits', waitingCases],
  ['promises: how it ends', endingsCases],
  ...mutexKinds.map((kind) => [kind.name, mutexCases(kind)] as const),
  ['readers and writers', readersWritersCases],
  ['semaphores', semaphoreCases],
  ['several keys', severalKeysCases],
  ['re-entry', reentrancyCases],
  ['holding', holdingCases],
  ['events', eventCases],
  ['every combination', matrixCases],
  ['a crowd', crowdCases],
  ['faults of the server', serverFaultCases],
  ['in the end', endCases],
];

/** How many patient cases run beside each other. */
const BATCH = 12;

/**
 * Runs one case at a time, but the first of a batch of patient ones runs the whole batch, which then waits for its leases
 * together. Whoever comes next has the machine to itself again, but for those in the background.
 */
function inBatches(fixture: BackendFixture, cases: readonly Case[]): (one: Case) => Promise<void> {
  const patient = cases.filter((one) => one.patient);
  const runs = new Map<Case, Promise<void>>();
  const start = (batch: readonly Case[]) => {
    for (const each of batch) {
      const run = Stage.run(fixture, each.run);
      // Its failure is told in its own turn.
      run.catch(() => undefined);
      runs.set(each, run);
    }
  };
  let begun = false;
  return async (one) => {
    if (!begun) start(cases.filter(({ background }) => background));
    begun = true;
    if (one.patient && !runs.has(one)) {
      const first = Math.floor(patient.indexOf(one) / BATCH) * BATCH;
      const batch = patient.slice(first, first + BATCH);
      start(batch);
      await Promise.allSettled(batch.map(async (each) => runs.get(each)));
    }
    return runs.get(one) ?? Stage.run(fixture, one.run);
  };
}

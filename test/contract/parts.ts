import type { TestHarness } from '../../lib/testing/index.js';
import { rounds } from '../faults/support/rounds.js';

/** What the engine does by itself, whoever the server is: one set-up of each backend proves it. */
const ENGINE = ['re-entry', 'holding', 'events'] as const;

/** What the scripts and transactions do, wherever they run. */
const VERBS = ['readers and writers', 'semaphores', 'every combination', 'a crowd'] as const;

/** What follows from time and from broken connections, whatever the user may do. */
const COURSE = ['re-entry', 'events', 'promises: how it ends', 'a crowd', 'faults of the server'] as const;

/**
 * A harness that leaves parts of the contract to another spec of the same backend, which has all of them. The longer runs have all of
 * them everywhere.
 */
export function without(harness: TestHarness, ...titles: readonly string[]): TestHarness {
  if (rounds > 1) return harness;
  const describe: TestHarness['describe'] = (title, body) => {
    if (!titles.includes(title)) harness.describe(title, body);
  };
  return { ...harness, describe };
}

/** For the same server over another client: connections, waiting and the forms of answers differ, the scripts do not. */
export const overAnotherClient = (harness: TestHarness): TestHarness => without(harness, ...ENGINE, ...VERBS);

/** For several servers that stand for one: who is asked, and what a failover keeps. */
export const onSeveralServers = (harness: TestHarness): TestHarness =>
  without(harness, ...ENGINE, 'every combination', 'readers and writers', 'semaphores');

/** For a user who may do less: each verb, with each kind of lock, and both ends of a line. */
export const forAnotherUser = (harness: TestHarness): TestHarness => without(harness, ...COURSE);

import { describe, expect, it } from 'vitest';
import type { Claim, KeyBackend } from '../../lib/backends/backend.js';
import { LockTable } from '../../lib/backends/memory/lock-table.js';
import { memoryOn } from '../../lib/backends/memory/index.js';
import { describeBackend } from '../../lib/testing/index.js';

/** A backend that is right but for one thing. */
type Sabotage = (right: KeyBackend, table: LockTable) => Partial<KeyBackend>;

/** Every deliberate mistake in a backend, and the test of the contract that has to find it. */
const mistakes: readonly [mistake: string, test: string, sabotage: Sabotage][] = [
  [
    'a release frees whoever holds the key',
    'the port > a release sent again says no and changes nothing',
    (right) => ({
      async release(claim, keepMs) {
        const { holders } = await right.inspect(claim.key);
        return right.release({ ...claim, owner: holders[0]?.owner ?? claim.owner }, keepMs);
      },
    }),
  ],
  [
    'an attempt sent again takes one more permit',
    'the port > an attempt sent again by its owner gives the same grant, and takes nothing twice',
    (right) => {
      let count = 0;
      return {
        attempt: (claim, waiter) =>
          right.attempt({ ...claim, owner: `${claim.owner}${claim.limit > 1 ? ++count : ''}` }, waiter),
      };
    },
  ],
  [
    'a renewal says yes whatever is asked',
    'the port > renewing many tells of each by itself: one lost among many, and one that waits',
    (right) => ({
      async renew(claims) {
        await right.renew(claims);
        return claims.map(() => true);
      },
    }),
  ],
  [
    'one lost lock among many makes the whole renewal fail',
    'the port > renewing many tells of each by itself: one lost among many, and one that waits',
    (right) => ({
      async renew(claims) {
        const held = await right.renew(claims);
        if (held.includes(false)) throw new Error('one is lost');
        return held;
      },
    }),
  ],
  [
    'asking joins the line although nobody waits for the answer',
    'the port > asking without a waiter never joins the line',
    (right) => ({ attempt: (claim, waiter = { granted() {}, look() {} }) => right.attempt(claim, waiter) }),
  ],
  [
    'a waiter who asks again goes to the end of the line',
    'the port > asking again keeps the place in line',
    (right) => {
      // Once: those behind look when it has left, so that they ask again too.
      let isDone = false;
      return {
        async attempt(claim, waiter) {
          const { waiters = [] } = await right.inspect(claim.key);
          if (!isDone && waiters.some(({ owner }) => owner === claim.owner)) {
            isDone = true;
            await right.release(claim);
          }
          return right.attempt(claim, waiter);
        },
      };
    },
  ],
  [
    'a release does not leave the line',
    'the port > a release by one who waits leaves the line, and the one behind is served',
    (right) => ({
      async release(claim, keepMs) {
        const { holders } = await right.inspect(claim.key);
        return holders.some(({ owner }) => owner === claim.owner) ? right.release(claim, keepMs) : false;
      },
    }),
  ],
  [
    'the line is served from its end',
    'a mutex > waiters of all processes are served in the order in which they came',
    (right, table) => {
      const line: [Claim, Parameters<KeyBackend['attempt']>[1]][] = [];
      return {
        async attempt(claim, waiter) {
          const answer = table.attempt(claim);
          if (!answer.granted && waiter && !line.some(([{ owner }]) => owner === claim.owner))
            line.push([claim, waiter]);
          return answer;
        },
        async release(claim, keepMs) {
          const place = line.findIndex(([{ owner }]) => owner === claim.owner);
          if (place >= 0) line.splice(place, 1);
          const held = await right.release(claim, keepMs);
          const last = held ? line.pop() : undefined;
          const grant = last && table.attempt(last[0]);
          if (grant?.granted) last?.[1]?.granted(grant);
          return held;
        },
      };
    },
  ],
  [
    'only the first of several keys is looked at',
    'the port > several keys are taken in one step, all or none, and without a line',
    (right, table) => ({
      async attemptAll(claims) {
        const grants = claims.map((claim) => table.attempt(claim));
        const [first] = grants;
        return first?.granted ? grants.flatMap((grant) => (grant.granted ? [grant] : [])) : (first ?? []);
      },
    }),
  ],
  [
    'keys are kept in lower case',
    'names > any name is a lock of its own: spaces, NUL, braces, patterns, emoji, four kilobytes, case and Unicode forms',
    (right) => ({ attempt: (claim, waiter) => right.attempt({ ...claim, key: claim.key.toLowerCase() }, waiter) }),
  ],
  [
    'keys are brought into one Unicode form',
    'names > any name is a lock of its own: spaces, NUL, braces, patterns, emoji, four kilobytes, case and Unicode forms',
    (right) => ({ attempt: (claim, waiter) => right.attempt({ ...claim, key: claim.key.normalize() }, waiter) }),
  ],
  [
    'keys end at a NUL',
    'names > any name is a lock of its own: spaces, NUL, braces, patterns, emoji, four kilobytes, case and Unicode forms',
    (right) => ({
      attempt: (claim, waiter) => right.attempt({ ...claim, key: claim.key.split('\0')[0] ?? '' }, waiter),
    }),
  ],
  [
    'every grant has the same token',
    'a mutex > one at a time, over processes and within one',
    (right) => ({
      async attempt(claim, waiter) {
        const answer = await right.attempt(
          claim,
          waiter && { look: () => waiter.look(), granted: (grant) => waiter.granted({ ...grant, fencingToken: 1n }) },
        );
        return answer.granted ? { ...answer, fencingToken: 1n } : answer;
      },
    }),
  ],
  [
    'readers are let in beside a writer',
    'readers and writers > readers are in together, writers alone',
    (right) => ({
      attempt: (claim, waiter) =>
        right.attempt(claim.mode === 'shared' ? { ...claim, key: `${claim.key} readers` } : claim, waiter),
    }),
  ],
  [
    'readers go one by one',
    'readers and writers > readers are in together, writers alone',
    (right) => ({ attempt: (claim, waiter) => right.attempt({ ...claim, mode: 'exclusive' }, waiter) }),
  ],
  [
    'later readers overtake a waiting writer',
    'readers and writers > a waiting writer is not overtaken by readers who come later, however many loop',
    (right, table) => ({
      async attempt(claim, waiter) {
        const { mode, holders } = table.inspect(claim.key);
        const beside = claim.mode === 'shared' && mode === 'shared' && holders.length > 0;
        return right.attempt(beside ? { ...claim, key: `${claim.key} beside` } : claim, waiter);
      },
    }),
  ],
  [
    'one permit too many',
    'semaphores > as many as the limit are in together, each with an owner and a token of its own, and no more',
    (right) => ({
      attempt: (claim, waiter) => right.attempt(claim.limit > 1 ? { ...claim, limit: claim.limit + 1 } : claim, waiter),
    }),
  ],
  [
    'nobody looks at the limit of the others',
    'semaphores > holders who disagree about the limit are told both numbers, at once, and harm nobody',
    (right) => ({
      attempt: (claim, waiter) => right.attempt({ ...claim, key: `${claim.key} ${claim.limit}` }, waiter),
    }),
  ],
  [
    'keepMs is not looked at',
    'semaphores > minHold keeps one permit, not the semaphore',
    (right) => ({ release: (claim) => right.release(claim) }),
  ],
  [
    'a downgrade wakes nobody',
    'readers and writers > downgrade lets the waiting readers in at once, keeps writers out, and keeps the token',
    (right) => ({ downgrade: async (claim) => right.renew([claim]).then(([held]) => held === true) }),
  ],
  [
    'a forced release serves nobody',
    'the port > a forced release takes the key from its holder, serves the line, and says whether there was a holder',
    (right) => ({ forceRelease: async (key) => (await right.inspect(key)).holders.length > 0 }),
  ],
  [
    'a trait that is not so: no tokens, although they are promised',
    'a mutex > one at a time, over processes and within one',
    (right) => ({
      async attempt(claim, waiter) {
        const answer = await right.attempt(
          claim,
          waiter && {
            look: () => waiter.look(),
            granted: ({ at }) => waiter.granted({ granted: true, ...(at !== undefined && { at }) }),
          },
        );
        return answer.granted ? { granted: true } : answer;
      },
    }),
  ],
];

describe.concurrent('the contract finds', () => {
  it.each(mistakes)('%s', async (_, name, sabotage) => {
    const table = new LockTable(() => performance.now());
    const right = memoryOn(table);
    const test = testsOf({ ...right, ...sabotage(right, table) }).get(name);
    expect(test, `there is a test '${name}'`).toBeDefined();
    await expect(test?.()).rejects.toThrow();
  });

  it('nothing in a backend that is right', async () => {
    const tests = testsOf(memoryOn(new LockTable(() => performance.now())));
    for (const name of new Set(mistakes.map(([, test]) => test))) await tests.get(name)?.();
  });
});

/** The contract's tests of a backend, by name, to be run at will. */
function testsOf(backend: KeyBackend): Map<string, () => Promise<void>> {
  const tests = new Map<string, () => Promise<void>>();
  let title: string[] = [];
  const describeInto = (name: string, body: () => void): void => {
    title.push(name);
    body();
    title = title.slice(0, -1);
  };
  const test = (name: string, body: () => Promise<void>): unknown =>
    tests.set([...title.slice(1), name].join(' > '), body);
  const never = (): void => undefined;
  const harness = {
    describe: describeInto,
    it: Object.assign(test, { skip: never }),
    beforeAll: never,
    afterAll: never,
  };
  describeBackend('sabotage', harness, { create: () => backend, ttl: 200 });
  return tests;
}

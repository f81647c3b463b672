import type { TestHarness } from '../../lib/testing/contract/fixture.js';

/** The words of a test runner for these groups of the contract: where the others are proved already for the same code. */
export const onlyGroups = (harness: TestHarness, groups: readonly string[]): TestHarness =>
  some(harness, (name) => groups.includes(name));

/** As `onlyGroups`, for all but these. */
export const allGroupsBut = (harness: TestHarness, groups: readonly string[]): TestHarness =>
  some(harness, (name) => !groups.includes(name));

function some(harness: TestHarness, isWanted: (name: string) => boolean): TestHarness {
  let depth = 0;
  return {
    ...harness,
    describe(name, body) {
      if (depth > 0 && !isWanted(name)) return undefined;
      return harness.describe(name, () => {
        depth++;
        body();
        depth--;
      });
    },
  };
}

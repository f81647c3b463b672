import type { TestHarness } from '../../lib/testing/contract/fixture.js';

/** The words of a test runner for some groups of the contract: where the others are proved already for the same code. */
export function onlyGroups(harness: TestHarness, groups: readonly string[]): TestHarness {
  let depth = 0;
  return {
    ...harness,
    describe(name, body) {
      if (depth > 0 && !groups.includes(name)) return undefined;
      return harness.describe(name, () => {
        depth++;
        body();
        depth--;
      });
    },
  };
}

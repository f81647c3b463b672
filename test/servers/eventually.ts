import { setTimeout as sleep } from 'node:timers/promises';

/** Asks again every few milliseconds until the answer is neither `false` nor `undefined`; an error counts as "not yet". */
export async function eventually<T>(
  what: string,
  ask: () => T | Promise<T>,
  { within = 15_000, every = 10, unless = () => undefined as string | undefined } = {},
): Promise<Exclude<T, false | undefined>> {
  const deadline = performance.now() + within;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== false && answer !== undefined) return answer as Exclude<T, false | undefined>;
      last = answer;
    } catch (error) {
      last = error;
    }
    const hopeless = unless();
    if (hopeless !== undefined) throw new Error(`${what}: ${hopeless}`);
    if (performance.now() > deadline) throw new Error(`${what}: not within ${within} ms, last answer: ${String(last)}`);
    await sleep(every);
  }
}

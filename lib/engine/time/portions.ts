/** How many run in one turn of the event loop: some milliseconds of work, also where each of them asks the server. */
export const PORTION = 250;

/** What a clock can do later. */
interface Later {
  after(ms: number, run: () => void): unknown;
}

/** Runs it for each, a portion in a turn of the event loop, so that thousands that are due together do not block everything else. */
export function inPortions<T>(clock: Later, things: readonly T[], run: (thing: T) => void): void {
  const from = (start: number): void => {
    const end = start + PORTION;
    for (const thing of things.slice(start, end)) run(thing);
    if (end < things.length) clock.after(0, () => from(end));
  };
  from(0);
}

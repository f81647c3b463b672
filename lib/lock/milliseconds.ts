/** Rounds a measured time: milliseconds, to the microsecond. */
export const measured = (milliseconds: number): number => Math.round(milliseconds * 1_000) / 1_000;

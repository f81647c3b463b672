/** Milliseconds of the machine's monotonic clock: the same in every process, so that times of several can be compared. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6;

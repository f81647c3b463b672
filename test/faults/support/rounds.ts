/**
 * How many times the usual load: 1 in `npm test`, 20 in `npm run test:faults`, which makes the figures that the README names
 * (40,000 critical sections, a million pairs). Set `FAULT_ROUNDS` to anything else for a longer night.
 */
export const rounds = Math.max(1, Number(process.env['FAULT_ROUNDS'] ?? 1) || 1);

/** A time limit for a test that takes so many seconds with one round. */
export const withinRounds = (seconds: number): number => (20 + seconds * rounds) * 1_000;

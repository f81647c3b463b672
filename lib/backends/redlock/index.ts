export { quorum, type QuorumOptions } from './quorum.js';
export { redlock, type RedlockBehaviour, type RedlockOptions } from './redlock.js';
export type { RedlockInstance } from './instance.js';

export { quorum, type QuorumOptions } from './quorum.js';

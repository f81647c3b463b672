export { describeBackend } from './describe-backend.js';
export type { BackendFixture, Fault, Faults, TestHarness } from './contract/fixture.js';
export { FaultyNetwork, type FaultyNetworkOptions, networkQualities, type NetworkQuality } from './faulty-network.js';
export { bypassLocks } from '../nest/service/bypass.js';
export { LockTestingModule, type LockTestingOptions } from './lock-testing.module.js';

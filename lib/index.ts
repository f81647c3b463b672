export type { LockBackend, LockMode } from './backends/backend.js';
export { memory } from './backends/memory/index.js';
export { currentLock } from './engine/holding/context.js';
export type { ConfiguredDuration, Duration } from './lock/duration.js';
export type { WithLockOptions } from './engine/engine.js';
export {
  LockBackendError,
  LockClosedError,
  LockConfigurationError,
  LockError,
  type LockErrorCode,
  LockKeyError,
  LockLostError,
  LockTimeoutError,
} from './lock/errors.js';
export type {
  LockAcquiredEvent,
  LockEvent,
  LockEventOf,
  LockEventType,
  LockFailedEvent,
  LockFailureReason,
  LockLossReason,
  LockLostEvent,
  LockReleasedEvent,
  LockReleaseUnknownEvent,
  LockRenewalFailedEvent,
  LockSkippedEvent,
  LockTimeoutEvent,
  LockWaitingEvent,
} from './lock/events.js';
export type { InstrumentedBackend, LockCall, LockInstrumentation, LockObserver } from './lock/instrumentation.js';
export type { LeaderOptions } from './engine/election/leader-election.js';
export { Leadership, type LeaderWork } from './engine/election/leader-term.js';
export type { ListOptions, LockPage } from './lock/listing.js';
export type { AcquireOptions, Lock, LockInfo, LockJson } from './lock/lock.js';
export { DistributedLockModule } from './nest/distributed-lock.module.js';
export type {
  DistributedLockModuleAsyncOptions,
  DistributedLockModuleOptions,
  DistributedLockOptions,
  DistributedLockOptionsFactory,
} from './nest/distributed-lock.options.js';
export type { LockLogOptions } from './nest/log/lock-log.options.js';
export { LockParam } from './nest/key/lock-param.decorator.js';
export { Leader, type LeaderMethodOptions } from './nest/leader/leader.decorator.js';
export { LeaderElection } from './nest/service/leader-election.js';
export { LockExceptionFilter, type LockErrorReply } from './nest/lock-exception.filter.js';
export { LockInterceptor } from './nest/lock.interceptor.js';
export { LockService } from './nest/service/lock.service.js';
export { getLockBackendToken, getLockServiceToken, InjectLockService } from './nest/service/lock.tokens.js';
export { Locked, type LockedDecorator } from './nest/locked/locked.decorator.js';
export type { BusyInfo, LockedOptions, OnBusy } from './nest/locked/locked.options.js';
export type { LockInterceptorOptions } from './nest/route/route-lock.js';

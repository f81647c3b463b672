export { LockMetricsModule } from './lock-metrics.module.js';
export type { LockMetricsAsyncOptions, LockMetricsOptions } from './lock-metrics.options.js';

import type { ModuleMetadata } from '@nestjs/common';
import type { Registry, RegistryContentType } from 'prom-client';
import type { OptionsFactory } from '../nest/service/options-factory.js';

/** Options of `LockMetricsModule.forRoot()`. */
export interface LockMetricsOptions {
  /** Where the metrics go. @default the global `register` of `prom-client` */
  readonly registry?: Registry<RegistryContentType>;
  /** The prefix of the metrics' names. @default 'lock_' */
  readonly prefix?: string;
  /** Upper bounds of the waits' histogram, in seconds, growing. @default 1 ms to 30 s in ten steps */
  readonly waitBuckets?: readonly number[];
  /** Upper bounds of the holds' histogram, in seconds, growing. @default 5 ms to 30 min in ten steps */
  readonly holdBuckets?: readonly number[];
}

/** Options of `LockMetricsModule.forRootAsync()`. */
export type LockMetricsAsyncOptions = Pick<ModuleMetadata, 'imports'> & OptionsFactory<LockMetricsOptions>;

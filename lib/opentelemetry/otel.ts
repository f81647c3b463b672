import { metrics, trace } from '@opentelemetry/api';
import type { LockInstrumentation, LockObserver } from '../lock/instrumentation.js';
import { checkOptionNames } from '../lock/option-names.js';
import { LockMeters } from './meters.js';
import type { OtelOptions } from './otel.options.js';
import { CallSpans } from './spans.js';

const SCOPE = 'nestjs-distributed-lock';
const NAMES: ReadonlySet<string> = new Set(['tracerProvider', 'meterProvider', 'keys']);

/**
 * Traces and metrics of locks by OpenTelemetry, as option `instrumentation` of the module:
 *
 * ```ts
 * DistributedLockModule.forRoot({ backend, instrumentation: otel() });
 * ```
 *
 * Each call for a lock gets a span for its wait, and one for as long as the lock is held, which is the parent of the spans of the work under
 * it. The SDK has to be started before the application, as always; without one this does next to nothing.
 *
 * @throws LockConfigurationError when an option is misspelt
 */
export function otel(options: OtelOptions = {}): LockInstrumentation {
  checkOptionNames('otel()', options, NAMES);
  const { tracerProvider = trace.getTracerProvider(), meterProvider, keys = false } = options;
  const tracer = tracerProvider ? tracerProvider.getTracer(SCOPE) : undefined;
  let meters: LockMeters | undefined;

  return {
    onBackend(backend) {
      // Not before: the global provider of meters is whatever it is when it is asked.
      const provider = meterProvider ?? metrics.getMeterProvider();
      if (provider === false) return () => undefined;
      meters ??= new LockMeters(provider.getMeter(SCOPE));
      return meters.watch(backend);
    },
    onCall(call): LockObserver | undefined {
      return (tracer && CallSpans.start(tracer, call, keys, meters)) ?? meters;
    },
  };
}

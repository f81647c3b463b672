import type { MeterProvider, TracerProvider } from '@opentelemetry/api';

/** Options of `otel()`. */
export interface OtelOptions {
  /** Whose tracer to use; `false` for no spans. @default the global one */
  readonly tracerProvider?: TracerProvider | false;
  /** Whose meter to use; `false` for no metrics. @default the global one */
  readonly meterProvider?: MeterProvider | false;
  /**
   * Whether spans tell the keys (`lock.keys`) and the messages of errors, which name keys and hosts. Traces are often read by more people than
   * the data that keys come from.
   *
   * @default false
   */
  readonly keys?: boolean;
}

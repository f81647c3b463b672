/** OpenTelemetry's instrumentation of Nest, as its README has it. */
const { registerInstrumentations } = require('@opentelemetry/instrumentation');
const { NestInstrumentation } = require('@opentelemetry/instrumentation-nestjs-core');
const { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-node');

const exporter = new InMemorySpanExporter();
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register();
registerInstrumentations({ instrumentations: [new NestInstrumentation()] });
globalThis.wrapped = () =>
  exporter.getFinishedSpans().filter(({ attributes }) => attributes['nestjs.type'] === 'handler').length;

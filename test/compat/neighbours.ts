import type { Neighbourhood, Workshop } from './workshop.js';

export interface NeighbourCheck {
  readonly name: string;
  /** Why this version is left out. */
  readonly unless?: (nest: string) => string | undefined;
  readonly run: (neighbourhood: Neighbourhood, workshop: Workshop) => Promise<void>;
}

const tracedBy =
  (tool: string): NeighbourCheck['run'] =>
  ({ dir }, workshop) =>
    runs(dir, workshop, '--require', `./${tool}.cjs`, 'out/traced.js');

const onlyTraced: NeighbourCheck['unless'] = (nest) =>
  nest === 'Nest 11' ? undefined : 'OpenTelemetry wraps Nest below 12, and 11.0 as 11';

export const neighbourChecks: readonly NeighbourCheck[] = [
  {
    name: 'beside: Swagger, config, validation, transactions, throttler',
    unless: (nest) => (nest === 'Nest 11.0' ? 'These libraries ask for newer ones of 11' : undefined),
    run: ({ dir }, workshop) => runs(dir, workshop, 'out/libraries.js'),
  },
  {
    name: 'beside: what clients are told, HTTP, Apollo, Mercurius',
    run: ({ dir }, workshop) => runs(dir, workshop, 'out/clients.js'),
  },
  {
    name: 'beside: the page, Express and Fastify',
    run: ({ dir }, workshop) => runs(dir, workshop, 'out/page.js'),
  },
  { name: "beside: OpenTelemetry's instrumentation of Nest", unless: onlyTraced, run: tracedBy('otel') },
  { name: 'beside: Sentry', unless: onlyTraced, run: tracedBy('sentry') },
];

async function runs(dir: string, workshop: Workshop, ...args: readonly string[]): Promise<void> {
  const said = await workshop.node(dir, ...args);
  if (!said.includes('all well')) throw new Error(said);
}

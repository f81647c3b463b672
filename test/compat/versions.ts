/** What the consumers are made of. Exact, so that a red run means that we changed something. */
export const nest = {
  11: { '@nestjs/common': '11.2.10', '@nestjs/core': '11.2.10', '@nestjs/testing': '11.2.6' },
  12: { '@nestjs/common': '12.5.1', '@nestjs/core': '12.5.1', '@nestjs/testing': '12.1.1' },
} as const;

/** The two majors of each client are spread over the two Nests. */
export const clients = {
  11: { ioredis: '5.11.1', '@redis/client': '5.12.1', etcd3: '1.1.2' },
  12: { ioredis: '6.0.0', '@redis/client': '6.3.1', etcd3: '1.1.2' },
} as const;

/** What the monitoring is for. */
export const monitoring = {
  11: { '@nestjs/terminus': '11.1.1', 'prom-client': '15.1.3', '@opentelemetry/api': '1.9.1' },
  12: { '@nestjs/terminus': '12.1.0', 'prom-client': '15.1.3', '@opentelemetry/api': '1.9.1' },
} as const;

export const both = { 'reflect-metadata': '0.2.2', rxjs: '7.8.2', '@types/node': '20.19.43' } as const;

/** Besides TypeScript 6 and Vitest, which this repository has itself. */
export const tools = {
  // For Nest 12; for Nest 11 this repository has one.
  '@nestjs/cli': '12.0.8',
  pnpm: '12.4.2',
  ts59: 'npm:typescript@5.9.3',
  ts7: 'npm:typescript@7.0.2',
  '@swc/core': '1.16.22',
  '@swc/jest': '0.2.39',
  jest: '30.5.2',
} as const;

/** Nest 11 in place of every Nest package that our own tests use. */
export const nest11ForOurTests = {
  ...nest[11],
  '@nestjs/apollo': '13.4.5',
  '@nestjs/cqrs': '11.0.3',
  '@nestjs/event-emitter': '3.1.0',
  '@nestjs/graphql': '13.4.5',
  '@nestjs/microservices': '11.2.6',
  '@nestjs/platform-express': '11.2.10',
  '@nestjs/platform-fastify': '11.2.8',
  '@nestjs/platform-ws': '11.2.6',
  '@nestjs/schedule': '6.1.3',
  '@nestjs/terminus': '11.1.1',
  '@nestjs/websockets': '11.2.6',
} as const;

/** For what `nest new` makes. The README names these packages where it needs them. */
export const newApplications = {
  11: {
    cli: 'nest11/bin/nest.js',
    asTheReadmeSays: { ioredis: '5.11.1', etcd3: '1.1.2', '@nestjs/config': '4.0.2', '@nestjs/schedule': '6.1.3' },
    forTests: {
      '@golevelup/ts-jest': '3.0.0',
      '@suites/unit': '3.1.1',
      '@suites/di.nestjs': '3.1.0',
      '@suites/doubles.jest': '3.1.0',
    },
  },
  12: {
    cli: '@nestjs/cli/bin/nest.js',
    asTheReadmeSays: { ioredis: '6.0.0', etcd3: '1.1.2', '@nestjs/config': '12.0.1', '@nestjs/schedule': '12.0.2' },
    forTests: {
      '@golevelup/ts-vitest': '4.0.0',
      '@suites/unit': '3.1.1',
      '@suites/di.nestjs': '3.1.0',
      '@suites/doubles.vitest': '3.1.0',
    },
  },
} as const;

/** Each has a recipe on the page of PostgreSQL. */
export const orms = {
  '@mikro-orm/core': '7.2.5',
  '@mikro-orm/postgresql': '7.2.5',
  '@prisma/adapter-pg': '7.10.1',
  'drizzle-orm': '0.45.4',
  knex: '3.3.0',
  kysely: '0.29.9',
  typeorm: '1.1.1',
  pg: '8.23.1',
  '@types/pg': '8.23.1',
} as const;

const graphql = {
  graphql: '16.15.0',
  '@apollo/server': '5.5.1',
  '@as-integrations/express5': '1.1.2',
  mercurius: '16.10.1',
};
const libraries = {
  '@nestjs/throttler': '6.7.1',
  'class-transformer': '0.5.1',
  'class-validator': '0.15.1',
  'nestjs-cls': '6.3.1',
  '@nestjs-cls/transactional': '3.3.0',
  typeorm: '1.1.1',
  'typeorm-transactional': '0.5.0',
};

/** What stands beside our package in one application. 11.0 is the oldest that we promise; its own filter shows clients more than others do. */
export const neighbours = {
  'Nest 11.0': {
    '@nestjs/common': '11.0.1',
    '@nestjs/core': '11.0.1',
    '@nestjs/platform-express': '11.0.1',
    '@nestjs/platform-fastify': '11.0.1',
    '@nestjs/graphql': '13.1.0',
    '@nestjs/apollo': '13.1.0',
    '@nestjs/mercurius': '13.1.0',
    graphql: '16.15.0',
    '@apollo/server': '4.12.2',
    mercurius: '16.0.1',
    ioredis: '5.11.1',
  },
  'Nest 11': {
    ...nest[11],
    '@nestjs/platform-express': '11.2.10',
    '@nestjs/platform-fastify': '11.2.8',
    '@nestjs/graphql': '13.4.5',
    '@nestjs/apollo': '13.4.5',
    '@nestjs/mercurius': '13.4.5',
    ...graphql,
    '@nestjs/swagger': '11.4.7',
    '@nestjs/config': '4.0.2',
    ...libraries,
    '@opentelemetry/api': '1.9.1',
    '@opentelemetry/instrumentation': '0.223.0',
    '@opentelemetry/instrumentation-nestjs-core': '0.70.0',
    '@opentelemetry/sdk-trace-node': '2.12.1',
    '@sentry/nestjs': '10.75.3',
    ioredis: '5.11.1',
  },
  'Nest 12': {
    ...nest[12],
    '@nestjs/platform-express': '12.5.1',
    '@nestjs/platform-fastify': '12.5.0',
    '@nestjs/graphql': '14.0.3',
    '@nestjs/apollo': '14.0.3',
    '@nestjs/mercurius': '14.0.0',
    ...graphql,
    '@nestjs/swagger': '12.0.2',
    '@nestjs/config': '12.0.1',
    ...libraries,
    ioredis: '6.0.0',
  },
} as const;

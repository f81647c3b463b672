import { defineConfig } from 'vitest/config';

const lib = (path: string) => new URL(`./lib/${path}`, import.meta.url).pathname;

export default defineConfig({
  // As tsc does it; esbuild would leave out the metadata that Nest injects by.
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  resolve: {
    // The package by its own name is its source here (tsconfig.json has the same list); the packed build is tested in test/compat.
    alias: [
      { find: /^nestjs-distributed-lock$/, replacement: lib('index.ts') },
      { find: /^nestjs-distributed-lock\/backend$/, replacement: lib('backends/backend.ts') },
      { find: /^nestjs-distributed-lock\/testing$/, replacement: lib('testing/index.ts') },
      { find: /^nestjs-distributed-lock\/admin$/, replacement: lib('admin/index.ts') },
      {
        find: /^nestjs-distributed-lock\/(terminus|prometheus|opentelemetry)$/,
        replacement: lib('$1/index.ts'),
      },
      { find: /^nestjs-distributed-lock\/([a-z]+)$/, replacement: lib('backends/$1/index.ts') },
    ],
  },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.spec.ts', 'sample/**/*.spec.ts'],
          exclude: [
            'test/{contract,faults,servers,compat}/**',
            'bench/**',
            'sample/{02,03,04,05}-*/**',
            '**/{node_modules,dist}/**',
          ],
          setupFiles: ['reflect-metadata'],
          // One module graph for all files: ten times faster, and it shows whatever a test leaves behind.
          pool: 'threads',
          isolate: false,
          sequence: { groupOrder: 0 },
          // Hours of virtual time take long enough where other work runs beside.
          testTimeout: 30_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'servers',
          include: ['test/{contract,faults,servers}/**/*.spec.ts', 'sample/{02,03,04,05}-*/**/*.spec.ts'],
          setupFiles: ['reflect-metadata'],
          globalSetup: 'test/servers/install.ts',
          // A process for each file, so that the servers it started die with it, however it ends.
          pool: 'forks',
          // In CI one at a time: a server that another test starves for seconds loses leases, as it should.
          maxWorkers: process.env['CI'] ? 1 : 2,
          sequence: { groupOrder: 1 },
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Consumer, Workshop } from './workshop.js';

export interface Check {
  readonly name: string;
  /** Why this consumer is left out, where Nest itself rules it out. */
  readonly unless?: (consumer: Consumer) => string | undefined;
  readonly run: (consumer: Consumer, workshop: Workshop) => Promise<void>;
}

const compilers = { '5.9': 'ts59/bin/tsc', '6': 'typescript/bin/tsc', '7': 'ts7/bin/tsc' } as const;

/** What the type-checks and builds have in common: what `nest new` writes, and the libraries' types checked as well. */
const compilerOptions = {
  target: 'ES2023',
  lib: ['ES2023'],
  types: ['node'],
  strict: true,
  skipLibCheck: false,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  esModuleInterop: true,
};

function typesBy(
  typescript: keyof typeof compilers,
  module: string,
  moduleResolution: string,
  unless?: Check['unless'],
): Check {
  const name = `types: TypeScript ${typescript}, ${moduleResolution}`;
  return {
    name,
    ...(unless && { unless }),
    run: async ({ dir }, workshop) => {
      const config = `tsconfig.${typescript}-${moduleResolution}.json`;
      const options = { ...compilerOptions, module, moduleResolution, noEmit: true };
      writeFileSync(
        join(dir, config),
        JSON.stringify({ compilerOptions: options, include: ['src'], exclude: ['src/*.spec.ts'] }),
      );
      await workshop.node(dir, workshop.tool(compilers[typescript]), '-p', config);
    },
  };
}

async function runsApp(dir: string, main: string, workshop: Workshop): Promise<void> {
  const said = await workshop.node(dir, main);
  if (!said.includes('one at a time')) throw new Error(`${main} ended well, but said: ${said}`);
}

const onlyNest11CommonJs: Check['unless'] = ({ nest, format }) =>
  nest === 11 && format === 'cjs' ? undefined : 'Nest 12 has no types for it, ESM has no such resolution';
const notNest12: Check['unless'] = ({ nest }) =>
  nest === 12 ? 'Nest 12 itself: node16 cannot require ESM' : undefined;

export const checks: readonly Check[] = [
  typesBy('5.9', 'commonjs', 'node10', onlyNest11CommonJs),
  typesBy('5.9', 'node16', 'node16', notNest12),
  typesBy('5.9', 'nodenext', 'nodenext'),
  typesBy('6', 'nodenext', 'nodenext'),
  typesBy('6', 'esnext', 'bundler'),
  typesBy('7', 'nodenext', 'nodenext'),
  {
    name: 'built by tsc, runs and ends by itself',
    run: async ({ dir }, workshop) => {
      const options = { ...compilerOptions, module: 'nodenext', rootDir: 'src', outDir: 'by-tsc' };
      writeFileSync(
        join(dir, 'tsconfig.json'),
        JSON.stringify({ compilerOptions: options, include: ['src'], exclude: ['src/*.spec.ts'] }),
      );
      await workshop.node(dir, workshop.tool(compilers['6']));
      await runsApp(dir, 'by-tsc/main.js', workshop);
    },
  },
  {
    name: 'built by swc, runs and ends by itself',
    run: async ({ dir, format }, workshop) => {
      const { transformFile } = (await import(workshop.tool('@swc/core/index.js'))) as {
        transformFile: (file: string, options: object) => Promise<{ code: string }>;
      };
      mkdirSync(join(dir, 'by-swc'));
      for (const file of ['main.ts', 'orders.ts']) {
        const { code } = await transformFile(join(dir, 'src', file), swcOptions(format));
        writeFileSync(join(dir, 'by-swc', file.replace('.ts', '.js')), code);
      }
      await runsApp(dir, 'by-swc/main.js', workshop);
    },
  },
  {
    name: 'Jest 30',
    unless: ({ nest, format }) =>
      nest === 12 && format === 'cjs' ? 'Nest 12 itself: CommonJS Jest cannot load it on Node 20' : undefined,
    run: async ({ dir, format }, workshop) => {
      const config = {
        rootDir: dir,
        testEnvironment: 'node',
        testMatch: ['<rootDir>/src/*.spec.ts'],
        transform: { '\\.ts$': [workshop.tool('@swc/jest'), { ...swcOptions(format), swcrc: false }] },
        moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
        ...(format === 'esm' && { extensionsToTreatAsEsm: ['.ts'] }),
      };
      writeFileSync(join(dir, 'jest.config.json'), JSON.stringify(config));
      const flags = format === 'esm' ? ['--experimental-vm-modules'] : [];
      await workshop.node(dir, ...flags, workshop.tool('jest/bin/jest.js'), '--config', 'jest.config.json');
    },
  },
  {
    name: 'Vitest 4',
    run: async ({ dir }, workshop) => {
      const config = {
        oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
        test: { globals: true, include: ['src/*.spec.ts'] },
      };
      writeFileSync(join(dir, 'vitest.config.mjs'), `export default ${JSON.stringify(config)};\n`);
      await workshop.node(dir, workshop.tool('vitest/vitest.mjs'), 'run', '--root', dir);
    },
  },
  {
    name: 'import and require give one class',
    run: async ({ dir }, workshop) => {
      const said = await workshop.node(dir, 'src/one-class.cjs');
      if (!said.includes('one class')) throw new Error(said);
    },
  },
  {
    name: 'monitoring: metrics, spans and health in an application',
    run: async ({ dir }, workshop) => {
      const said = await workshop.node(dir, 'src/monitoring.cjs');
      if (!said.includes('counted, up')) throw new Error(said);
    },
  },
  {
    name: 'our own tests of the Nest layer',
    unless: ({ nest, format }) =>
      nest === 11 && format === 'esm' ? undefined : '`npm test` runs our own tests on Nest 12 and from ESM source',
    run: async (_consumer, workshop) => {
      const dir = await workshop.repositoryOnNest11();
      await workshop.node(dir, 'node_modules/vitest/vitest.mjs', 'run', '--project', 'unit', 'test/nest');
    },
  },
];

function swcOptions(format: Consumer['format']): object {
  return {
    swcrc: false,
    jsc: {
      target: 'es2022',
      parser: { syntax: 'typescript', decorators: true },
      transform: { legacyDecorator: true, decoratorMetadata: true },
    },
    module: { type: format === 'cjs' ? 'commonjs' : 'es6' },
  };
}

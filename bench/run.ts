/**
 * `npm run bench`: compiles this bench and starts it without a loader. The loader that runs our other scripts rewrites every module
 * that it loads, those of the built package and of other libraries included, and what is measured then is not what users run.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
// Below node_modules, so that packages are found as from here; one for each run, as two may go on side by side.
const compiled = join(root, `node_modules/.cache/bench-${process.pid}`);
process.on('exit', () => rmSync(compiled, { recursive: true, force: true }));
for (const file of ['bench', 'test/servers'].flatMap(sources)) {
  const { outputText } = ts.transpileModule(readFileSync(join(root, file), 'utf8'), {
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
    },
  });
  const target = join(compiled, file.replace(/\.ts$/, '.js'));
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, outputText);
}
writeFileSync(join(compiled, 'package.json'), '{ "type": "module" }\n');

const bench = spawn(process.execPath, [join(compiled, 'bench/main.js'), ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, BENCH_ROOT: root },
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => bench.kill(signal));
bench.on('exit', (code) => (process.exitCode = code ?? 1));

function sources(folder: string): readonly string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.includes('node_modules'))
    .map((file) => join(folder, file));
}

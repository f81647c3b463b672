import { createHash } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

let built: Promise<string> | undefined;

/**
 * The file that a pod runs: its source and the library's in one plain JavaScript file, built once for each test file in half a
 * second. So tests need no build of the package before, pods start twice as fast as with a loader, and what is measured in them
 * is what ships: a loader may turn private fields into weak maps.
 */
export const program = (): Promise<string> => (built ??= buildProgram());

async function buildProgram(): Promise<string> {
  const output = await build({
    configFile: false,
    logLevel: 'error',
    build: {
      ssr: fileURLToPath(new URL('./pod-process.ts', import.meta.url)),
      target: 'node20',
      minify: false,
      sourcemap: 'inline',
      write: false,
    },
  });
  const code = 'output' in output ? output.output[0].code : '';
  // Inside node_modules, where the packages that it imports are found; moved, so that no other test file finds half of it.
  const name = `pod-${createHash('sha1').update(code).digest('hex').slice(0, 12)}.mjs`;
  const file = fileURLToPath(new URL(`../../../node_modules/.cache/nestjs-distributed-lock/${name}`, import.meta.url));
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.${process.pid}`, code);
  renameSync(`${file}.${process.pid}`, file);
  return file;
}

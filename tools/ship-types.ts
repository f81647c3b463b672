/**
 * Puts the types that users can reach from a subpath beside the code of both builds, and leaves out those of internals. The text is
 * the same for both: what makes a type an ES module's or CommonJS's is the `package.json` beside it.
 */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { packageEntries, ROOT } from './package-entries.js';

const TYPES = join(ROOT, 'dist/types');

const reached = new Set<string>();
function reach(path: string): void {
  if (reached.has(path)) return;
  reached.add(path);
  for (const { fileName } of ts.preProcessFile(readFileSync(join(TYPES, path), 'utf8'), true, true).importedFiles) {
    if (fileName.startsWith('.')) reach(join(dirname(path), fileName.replace(/\.js$/, '.d.ts')));
  }
}
for (const { source } of packageEntries()) reach(`${source}.d.ts`);

for (const build of ['esm', 'cjs']) {
  for (const path of reached) cpSync(join(TYPES, path), join(ROOT, 'dist', build, path));
}
writeFileSync(join(ROOT, 'dist/cjs/package.json'), JSON.stringify({ type: 'commonjs' }));
rmSync(TYPES, { recursive: true });

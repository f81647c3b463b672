/**
 * Puts the types that users can reach from a subpath beside the code, and leaves out those of internals. The package has each type once, in
 * `dist/cjs`. `dist/esm` re-exports them, which an ES module may always do; the other direction is an error for CommonJS. So a class has one
 * declaration, and a value from `import` fits where code that used `require` expects it.
 */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';
import { packageEntries, ROOT } from './package-entries.js';

const TYPES = join(ROOT, 'dist/types');
const CJS = join(ROOT, 'dist/cjs');
const ESM = join(ROOT, 'dist/esm');

const reached = new Set<string>();
function reach(path: string): void {
  if (reached.has(path)) return;
  reached.add(path);
  for (const { fileName } of ts.preProcessFile(readFileSync(join(TYPES, path), 'utf8'), true, true).importedFiles) {
    if (fileName.startsWith('.')) reach(join(dirname(path), fileName.replace(/\.js$/, '.d.ts')));
  }
}
for (const { source } of packageEntries()) {
  reach(`${source}.d.ts`);
  const folder = dirname(join(ESM, source));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(ESM, `${source}.d.ts`), `export * from '${relative(folder, join(CJS, source))}.js';\n`);
}

for (const path of reached) cpSync(join(TYPES, path), join(CJS, path));
writeFileSync(join(CJS, 'package.json'), JSON.stringify({ type: 'commonjs' }));
rmSync(TYPES, { recursive: true });

import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { dataFolder } from './data-folder.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Folders of `lib` as JavaScript in a temporary folder, so that a process of its own starts without a compiler. */
export class Transpiled implements Disposable {
  readonly root = dataFolder('transpiled');

  /** @param packages which of the installed packages it finds; all of them unless told */
  constructor(folders: readonly string[], packages?: readonly string[]) {
    const { options } = ts.convertCompilerOptionsFromJson(
      { target: 'ES2022', module: 'ESNext', isolatedModules: true },
      ROOT,
    );
    for (const folder of folders) {
      for (const file of readdirSync(join(ROOT, 'lib', folder), { recursive: true, encoding: 'utf8' })) {
        if (!file.endsWith('.ts')) continue;
        const source = join('lib', folder, file);
        const { outputText } = ts.transpileModule(readFileSync(join(ROOT, source), 'utf8'), {
          compilerOptions: options,
        });
        const target = join(this.root, source).replace(/\.ts$/, '.js');
        mkdirSync(dirname(target), { recursive: true });
        writeFileSync(target, outputText);
      }
    }
    writeFileSync(join(this.root, 'package.json'), '{ "type": "module" }');
    this.#install(packages);
  }

  /** The same with only these packages. */
  with(packages: readonly string[]): Transpiled {
    const other = new Transpiled([], packages);
    cpSync(join(this.root, 'lib'), join(other.root, 'lib'), { recursive: true });
    return other;
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }

  #install(packages: readonly string[] | undefined): void {
    const installed = join(this.root, 'node_modules');
    if (!packages) return symlinkSync(join(ROOT, 'node_modules'), installed);
    mkdirSync(installed);
    for (const name of packages) symlinkSync(join(ROOT, 'node_modules', name), join(installed, name));
  }
}

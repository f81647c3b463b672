import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** This repository. What `run.ts` compiled lies elsewhere, and is told where it came from. */
export const repository = process.env['BENCH_ROOT'] ?? fileURLToPath(new URL('..', import.meta.url));

/** The package under test: this repository, or another checkout of it that `BENCH_PACKAGE` names. */
const packageRoot = process.env['BENCH_PACKAGE'] ?? repository;

/** A module of the built package. By path: by name the loader of this bench would take the source. */
export async function importBuilt<T>(path: string, root: string = packageRoot): Promise<T> {
  return (await import(pathToFileURL(join(root, 'dist/esm', path)).href)) as T;
}

/** Builds the package unless what is built is younger than its source. */
export function buildIfStale(): void {
  const built = join(packageRoot, 'dist/esm/index.js');
  if (existsSync(built) && statSync(built).mtimeMs > newest(join(packageRoot, 'lib'))) return;
  console.log('Building the package, which is younger than its build.');
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: packageRoot, stdio: ['ignore', 'ignore', 'inherit'] });
}

function newest(folder: string): number {
  return Math.max(
    ...readdirSync(folder, { withFileTypes: true }).map((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? newest(path) : statSync(path).mtimeMs;
    }),
  );
}

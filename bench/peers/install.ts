import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { repository } from '../built.js';

const folder = join(repository, 'bench/peers');
const manifest = join(folder, 'package.json');
const stamp = join(folder, 'node_modules/.bench-installed');
const require = createRequire(manifest);

/** Installs the libraries to compare with, into a folder of their own, unless they are there. */
export function installPeers(): void {
  if (existsSync(stamp) && statSync(stamp).mtimeMs > statSync(manifest).mtimeMs) return;
  console.log('Installing the libraries to compare with into bench/peers.');
  // Some name an older ioredis as their peer; the bench hands each of them the same client.
  const options = ['--ignore-scripts', '--legacy-peer-deps', '--no-package-lock', '--no-audit', '--no-fund'];
  execFileSync('npm', ['install', ...options, '--loglevel=error'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  writeFileSync(stamp, '');
}

/** A peer's module, which has no types here: it may not be installed. */
export async function importPeer<T>(name: string): Promise<T> {
  return (await import(pathToFileURL(require.resolve(name)).href)) as T;
}

/** The versions that are installed, for the report. */
export function peerVersions(): Record<string, string> {
  const { dependencies } = JSON.parse(readFileSync(manifest, 'utf8')) as { dependencies: Record<string, string> };
  return dependencies;
}

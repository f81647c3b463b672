import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const DEBIAN = '/usr/lib/postgresql';

/** Where Debian puts a PostgreSQL server: not on PATH, a folder for each version. The newest first. */
export function postgresFolders(): string[] {
  if (!existsSync(DEBIAN)) return [];
  const versions = readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a));
  return versions.map((version) => join(DEBIAN, version, 'bin'));
}

/** The program of the newest version, or its bare name, which is then looked up on PATH. */
export function postgresProgram(name: string): string {
  return (
    postgresFolders()
      .map((folder) => join(folder, name))
      .find(existsSync) ?? name
  );
}

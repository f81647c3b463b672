import { mkdtempSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** An etcd takes 64 MB for its log alone, and a container's shared memory may be no larger than that. */
const ROOM = 2 * 1024 ** 3;

/**
 * A new folder for the data of a server: in memory where there is room. A disk that is busy with something else holds up a server
 * for longer than a test's leases last, whether it waits for the disk or not.
 *
 * @param onDisk for a test of what a kill forgets: MariaDB writes a log in memory with every commit, whatever its settings say
 */
export function dataFolder(name: string, onDisk = false): string {
  return mkdtempSync(join(!onDisk && hasRoom('/dev/shm') ? '/dev/shm' : tmpdir(), `lock-test-${name}-`));
}

function hasRoom(folder: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize > ROOM;
  } catch {
    return false;
  }
}

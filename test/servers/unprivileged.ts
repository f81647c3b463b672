import { execFileSync } from 'node:child_process';

interface User {
  readonly uid: number;
  readonly gid: number;
}

/** Whom Debian makes for its server, and somebody whom every system has. */
const USERS = ['postgres', 'nobody'];

/**
 * A command as somebody who is not root, for servers that refuse to run as root: the program, its first arguments, and who that is;
 * nobody else where we are not root.
 */
export function unprivileged(command: string): [command: string, args: string[], user: User | undefined] {
  if (process.getuid?.() !== 0) return [command, [], undefined];
  const user = firstUser();
  // What the process is to do when its parent dies is forgotten when it becomes somebody else, so it is said here once more.
  const args = ['--reuid', `${user.uid}`, '--regid', `${user.gid}`, '--clear-groups', '--pdeathsig', 'KILL', command];
  return ['setpriv', args, user];
}

function firstUser(): User {
  for (const name of USERS) {
    try {
      const id = (kind: string) => Number(execFileSync('id', [kind, name], { stdio: ['ignore', 'pipe', 'ignore'] }));
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      // Not here.
    }
  }
  throw new Error(`None of the users ${USERS.join(', ')} exists, and the server does not run as root. Create one.`);
}

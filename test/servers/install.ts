import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { downloadFrom } from './debian-pool.js';
import { postgresFolders } from './postgres-programs.js';

interface Program {
  /** A command, or the path of a file that belongs to no command. */
  readonly command: string;
  /** The Debian package that has it. */
  readonly debian: string;
  /** The last Debian release with that package, if newer ones left it out. */
  readonly lastIn?: string;
  /** Names a server elsewhere, which makes the program needless. */
  readonly elsewhere?: string;
}

const programs: readonly Program[] = [
  { command: 'redis-server', debian: 'redis-server', elsewhere: 'REDIS_URL' },
  { command: 'redis-cli', debian: 'redis-tools', elsewhere: 'REDIS_URL' },
  { command: 'etcd', debian: 'etcd-server', elsewhere: 'ETCD_HOSTS' },
  { command: 'etcdctl', debian: 'etcd-client' },
  { command: 'consul', debian: 'consul', lastIn: 'bullseye', elsewhere: 'CONSUL_HTTP_ADDR' },
  { command: 'postgres', debian: 'postgresql', elsewhere: 'POSTGRES_URL' },
  { command: 'initdb', debian: 'postgresql' },
  { command: 'pgbouncer', debian: 'pgbouncer' },
  { command: 'mariadbd', debian: 'mariadb-server', elsewhere: 'MYSQL_URL' },
  { command: 'mariadb-install-db', debian: 'mariadb-server', elsewhere: 'MYSQL_URL' },
  { command: 'openssl', debian: 'openssl' },
  { command: 'java', debian: 'default-jre-headless', elsewhere: 'ZOOKEEPER_HOSTS' },
  { command: '/usr/share/java/zookeeper.jar', debian: 'libzookeeper-java', elsewhere: 'ZOOKEEPER_HOSTS' },
  // It compiles the one file of a program that has Curator's locks.
  { command: 'javac', debian: 'default-jdk-headless' },
  { command: '/usr/share/java/curator-recipes.jar', debian: 'libcurator-recipes-java' },
  { command: '/usr/share/java/curator-framework.jar', debian: 'libcurator-framework-java' },
  { command: '/usr/share/java/curator-client.jar', debian: 'libcurator-client-java' },
  { command: '/usr/share/java/guava.jar', debian: 'libguava-java' },
  { command: '/usr/bin/python3', debian: 'python3' },
  { command: '/usr/lib/python3/dist-packages/kazoo/client.py', debian: 'python3-kazoo' },
  { command: 'faketime', debian: 'faketime' },
  { command: 'prometheus', debian: 'prometheus' },
  { command: 'chromium', debian: 'chromium' },
  { command: '/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf', debian: 'fonts-dejavu-core' },
];

/** Run by Vitest before the `servers` project: a server that cannot be had is a failed run with a reason, never a silent skip. */
export function setup(): void {
  install(programs.map(({ command }) => command));
}

/** Makes sure of these programs. @throws when one cannot be had */
export function install(commands: readonly string[]): void {
  const missing = programs.filter(
    ({ command, elsewhere }) =>
      commands.includes(command) && !(elsewhere && process.env[elsewhere]) && !onPath(command),
  );
  if (missing.length === 0) return;

  const packages = missing.map(({ debian }) => debian);
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo', '--non-interactive'];
  const possible =
    onPath('apt-get') && (asRoot.length === 0 || spawnSync('sudo', ['--non-interactive', 'true']).status === 0);
  if (possible) {
    console.log(`Installing ${packages.join(', ')}.`);
    // Runlevel 1: the packages' own services stay off, the tests start their servers themselves.
    const apt = (...args: string[]) => {
      const [command = '', ...rest] = [
        ...asRoot,
        'env',
        'DEBIAN_FRONTEND=noninteractive',
        'RUNLEVEL=1',
        'apt-get',
        ...args,
      ];
      execFileSync(command, rest, { stdio: ['ignore', 'ignore', 'inherit'] });
    };
    apt('update', '-qq');
    const downloads = missing.flatMap(({ debian, lastIn }) => (lastIn ? [downloadFrom(lastIn, debian)] : []));
    try {
      const here = missing.flatMap(({ debian, lastIn }) => (lastIn ? [] : [debian]));
      apt('install', '-y', '-qq', '--no-install-recommends', ...here, ...downloads.map(({ file }) => file));
    } finally {
      for (const download of downloads) download.remove();
    }
  }

  const still = missing.filter(({ command }) => !onPath(command));
  if (still.length > 0) throw new Error(still.map(howToGet).join('\n'));
}

function onPath(command: string): boolean {
  if (command.startsWith('/')) return existsSync(command);
  return [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', ...postgresFolders()].some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function howToGet({ command, debian, lastIn, elsewhere }: Program): string {
  const release = lastIn ? `Debian ${lastIn}` : 'Debian, Ubuntu';
  const where = command.startsWith('/') ? 'not there' : 'not on PATH';
  const how = `"${command}" is ${where}: install the package ${debian} (${release})`;
  return elsewhere ? `${how}, or set ${elsewhere} to a server that runs elsewhere.` : `${how}.`;
}

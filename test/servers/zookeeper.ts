import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { elsewhere } from './elsewhere.js';
import { eventually } from './eventually.js';
import { freePort } from './free-port.js';
import { type ServerControl, ServerProcess } from './process.js';

export interface ZooKeeperServer extends ServerControl {
  /** `host:port`. */
  readonly host: string;
  /** As the other servers name it. */
  readonly url: string;
  /** The process, where it is ours. */
  readonly pid: number;
}

export interface ZooKeeperEnsemble extends AsyncDisposable {
  readonly members: readonly ZooKeeperServer[];
  readonly hosts: readonly string[];
  /** The member that calls itself the leader and has followers. */
  leader(): Promise<ZooKeeperServer>;
  stop(): Promise<void>;
}

interface Options {
  /** More lines of its configuration. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** More system properties of its Java machine. */
  readonly properties?: Readonly<Record<string, string>>;
}

/** In milliseconds: sessions end on such a step, and leaders and followers ask for each other twice in it. */
export const TICK_MS = 500;

/** Where Debian puts the jars; the first one names the others it needs, apart from these. */
export const JARS = [
  'zookeeper',
  'slf4j-simple',
  'netty-codec',
  'netty-resolver',
  'netty-transport-native-unix-common',
];

/** One ZooKeeper: of our own, or the first that `ZOOKEEPER_HOSTS` names (comma separated). `own`: one that the test may freeze and kill. */
export async function startZooKeeper({
  own = false,
  ...options
}: Options & { own?: boolean } = {}): Promise<ZooKeeperServer> {
  const host = process.env['ZOOKEEPER_HOSTS']?.split(',')[0]?.trim();
  if (host && !own) return elsewhere('ZOOKEEPER_HOSTS', { host, url: `zookeeper://${host}` });
  return startMember({ id: 1, host: `127.0.0.1:${await freePort()}`, peer: '' }, [], options);
}

/** Members that find a new leader within a second. `peers`: how a member is told to reach another one, for tests that come between them. */
export async function startZooKeeperEnsemble(
  size = 3,
  { peers = (_, member) => member.peer, ...options }: Options & { peers?: (of: Member, member: Member) => string } = {},
): Promise<ZooKeeperEnsemble> {
  const members: ZooKeeperServer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(members.map((member) => member.stop()));
  };
  const planned: Member[] = [];
  for (let id = 1; id <= size; id++) {
    planned.push({
      id,
      host: `127.0.0.1:${await freePort()}`,
      peer: `127.0.0.1:${await freePort()}:${await freePort()}`,
    });
  }
  const starts = await Promise.allSettled(
    planned.map((member) =>
      startMember(
        member,
        planned.map((each) => (each === member ? each : { ...each, peer: peers(member, each) })),
        options,
      ),
    ),
  );
  for (const start of starts) if (start.status === 'fulfilled') members.push(start.value);
  const failed = starts.find((start) => start.status === 'rejected');
  if (failed) {
    await stop();
    throw failed.reason;
  }
  return {
    members,
    hosts: members.map(({ host }) => host),
    leader: () => eventually('a ZooKeeper leader', () => leaderOf(members)),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

export interface Member {
  readonly id: number;
  readonly host: string;
  /** `host:port of the quorum:port of elections`. */
  readonly peer: string;
}

async function startMember(member: Member, all: readonly Member[], options: Options): Promise<ZooKeeperServer> {
  const { id, host } = member;
  const server = await ServerProcess.start({
    name: `zookeeper-${id}`,
    command: 'java',
    args: (dataDir) => [
      ...['-Xmx96m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto'],
      ...Object.entries({ 'zookeeper.forceSync': 'no', ...options.properties }).map(
        ([name, value]) => `-D${name}=${value}`,
      ),
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
      ...['-cp', JARS.map((jar) => `/usr/share/java/${jar}.jar`).join(':')],
      ...['org.apache.zookeeper.server.quorum.QuorumPeerMain', join(dataDir, 'zoo.cfg')],
    ],
    prepare: (dataDir) => {
      const settings = {
        tickTime: TICK_MS,
        initLimit: 10,
        syncLimit: 5,
        dataDir,
        clientPort: host.split(':')[1],
        clientPortAddress: '127.0.0.1',
        'admin.enableServer': false,
        '4lw.commands.whitelist': '*',
        maxClientCnxns: 0,
        minSessionTimeout: 2 * TICK_MS,
        maxSessionTimeout: 60_000,
        ...Object.fromEntries(all.map((each) => [`server.${each.id}`, each.peer])),
        ...options.settings,
      };
      const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
      writeFileSync(join(dataDir, 'zoo.cfg'), lines.join(''));
      if (all.length > 0) writeFileSync(join(dataDir, 'myid'), `${id}`);
    },
    // Three Java machines and an election, on a machine that does other things as well.
    readyWithin: 50_000,
    ready: async () => /^Mode: (standalone|leader|follower)/m.test(await fourLetters(host, 'srvr')),
  });
  return Object.assign(server, { host, url: `zookeeper://${host}` });
}

/** Asks a server with one of its four-letter words, which take no session. */
export function fourLetters(host: string, word: string): Promise<string> {
  const [name = '', port] = host.split(':');
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(Number(port), name, () => socket.write(word));
    socket.setTimeout(1_000, () => socket.destroy(new Error(`no answer to "${word}"`)));
    socket.setEncoding('utf8').on('data', (text) => (answer += text));
    socket.on('error', reject).on('close', () => resolve(answer));
  });
}

async function leaderOf(members: readonly ZooKeeperServer[]): Promise<ZooKeeperServer | undefined> {
  const answers = await Promise.allSettled(members.map(async ({ host }) => fourLetters(host, 'mntr')));
  return members.find((_, index) => {
    const answer = answers[index];
    if (answer?.status !== 'fulfilled') return false;
    const followers = Number(/^zk_synced_followers\s+([\d.]+)/m.exec(answer.value)?.[1] ?? 0);
    return /^zk_server_state\s+leader/m.test(answer.value) && followers >= Math.floor(members.length / 2);
  });
}

import { elsewhere } from './elsewhere.js';
import { eventually } from './eventually.js';
import { freePort } from './free-port.js';
import { type ServerControl, ServerProcess } from './process.js';

export interface EtcdServer extends ServerControl {
  /** For clients of the JSON gateway, and for etcd3, which takes it as a host too. */
  readonly url: string;
  /** `host:port`. */
  readonly host: string;
  /** The process, where it is ours. */
  readonly pid: number;
}

export interface EtcdCluster extends AsyncDisposable {
  readonly members: readonly EtcdServer[];
  readonly hosts: readonly string[];
  /** The member that most of those that answer call the leader. */
  leader(): Promise<EtcdServer>;
  stop(): Promise<void>;
}

/** One etcd: of our own, or the first that `ETCD_HOSTS` names (comma separated). `own`: one that the test may freeze and kill. */
export async function startEtcd({ own = false } = {}): Promise<EtcdServer> {
  const url = process.env['ETCD_HOSTS']?.split(',')[0]?.trim();
  if (url && !own) return elsewhere('ETCD_HOSTS', { url, host: url.replace(/^https?:\/\//, '') });
  const member = await newMember('single');
  const server = await startMember(member, [member]);
  return server;
}

/** Members that find a new leader within a second. */
export async function startEtcdCluster(size = 3): Promise<EtcdCluster> {
  const members: EtcdServer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(members.map((member) => member.stop()));
  };
  const planned = await Promise.all(Array.from({ length: size }, (_, i) => newMember(`member-${i + 1}`)));
  const starts = await Promise.allSettled(planned.map((member) => startMember(member, planned)));
  for (const start of starts) if (start.status === 'fulfilled') members.push(start.value);
  const failed = starts.find((start) => start.status === 'rejected');
  if (failed) {
    await stop();
    throw failed.reason;
  }
  return {
    members,
    hosts: members.map(({ url }) => url),
    leader: () => eventually('an etcd leader', () => leaderOf(members)),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

interface Member {
  readonly name: string;
  readonly host: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
}

async function newMember(name: string): Promise<Member> {
  const host = `127.0.0.1:${await freePort()}`;
  return { name, host, clientUrl: `http://${host}`, peerUrl: `http://127.0.0.1:${await freePort()}` };
}

async function startMember(member: Member, all: readonly Member[]): Promise<EtcdServer> {
  const { name, host, clientUrl, peerUrl } = member;
  const server = await ServerProcess.start({
    name: `etcd-${name}`,
    command: 'etcd',
    args: (dataDir) => [
      ...['--name', name, '--data-dir', dataDir, '--log-level', 'warn', '--unsafe-no-fsync'],
      ...['--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...[
        '--initial-cluster',
        all.map((each) => `${each.name}=${each.peerUrl}`).join(','),
        '--initial-cluster-state',
        'new',
      ],
      ...['--heartbeat-interval', '50', '--election-timeout', '500'],
    ],
    ready: async () => {
      const response = await fetch(`${clientUrl}/health`, { signal: AbortSignal.timeout(1_000) });
      const { health } = (await response.json()) as { health: string };
      return health === 'true';
    },
  });
  return Object.assign(server, { url: clientUrl, host });
}

async function leaderOf(members: readonly EtcdServer[]): Promise<EtcdServer | undefined> {
  const answers = await Promise.allSettled(members.map(statusOf));
  const known = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  return known.find(({ id }) => known.filter(({ leader }) => leader === id).length > members.length / 2)?.member;
}

async function statusOf(member: EtcdServer): Promise<{ member: EtcdServer; id: string; leader: string }> {
  const response = await fetch(`${member.url}/v3/maintenance/status`, {
    method: 'POST',
    body: '{}',
    signal: AbortSignal.timeout(500),
  });
  const { header, leader } = (await response.json()) as { header: { member_id: string }; leader: string };
  return { member, id: header.member_id, leader };
}

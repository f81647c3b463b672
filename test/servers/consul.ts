import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { elsewhere } from './elsewhere.js';
import { eventually } from './eventually.js';
import { freePort } from './free-port.js';
import { type ServerControl, ServerProcess } from './process.js';

export interface ConsulServer extends ServerControl {
  readonly url: string;
  /** `host:port`. */
  readonly host: string;
  /** The process, where it is ours. */
  readonly pid: number;
}

export interface ConsulOptions {
  /** A server that the test may freeze and kill, whatever `CONSUL_HTTP_ADDR` says. */
  readonly own?: boolean;
  /** Every request needs a token; this one may do everything. */
  readonly master?: string;
  /** The API by `https://` instead of `http://`. */
  readonly tls?: TlsFiles;
  /** More of the agent's configuration. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Files in PEM. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface ConsulCluster extends AsyncDisposable {
  readonly members: readonly ConsulServer[];
  readonly urls: readonly string[];
  /** The member that most of those that answer call the leader. */
  leader(): Promise<ConsulServer>;
  stop(): Promise<void>;
}

/** One Consul server that keeps its data across a kill: of our own, or the one that `CONSUL_HTTP_ADDR` names. */
export async function startConsul({ own = false, ...options }: ConsulOptions = {}): Promise<ConsulServer> {
  const named = process.env['CONSUL_HTTP_ADDR'];
  if (named && !own) {
    const url = named.includes('://') ? named : `http://${named}`;
    return elsewhere('CONSUL_HTTP_ADDR', { url, host: new URL(url).host });
  }
  const member = await newMember('single');
  return startMember(member, [member], options);
}

/** Members that find a new leader within a few seconds. */
export async function startConsulCluster(size = 3, options: ConsulOptions = {}): Promise<ConsulCluster> {
  const members: ConsulServer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(members.map((member) => member.stop()));
  };
  const planned = await Promise.all(Array.from({ length: size }, (_, i) => newMember(`member-${i + 1}`)));
  const starts = await Promise.allSettled(planned.map((member) => startMember(member, planned, options)));
  for (const start of starts) if (start.status === 'fulfilled') members.push(start.value);
  const failed = starts.find((start) => start.status === 'rejected');
  if (failed) {
    await stop();
    throw failed.reason;
  }
  return {
    members,
    urls: members.map(({ url }) => url),
    leader: () => eventually('a Consul leader', () => leaderOf(members, planned)),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** A certificate for the loopback address that signs itself, in the folder. */
export function newCertificate(folder: string): TlsFiles {
  const files = { ca: join(folder, 'cert.pem'), cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=localhost'],
      ...['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', files.key, '-out', files.cert],
    ],
    { stdio: 'ignore' },
  );
  return files;
}

interface Member {
  readonly name: string;
  readonly http: number;
  readonly serf: number;
  readonly rpc: number;
}

async function newMember(name: string): Promise<Member> {
  return { name, http: await freePort(), serf: await freePort(), rpc: await freePort() };
}

async function startMember(
  member: Member,
  all: readonly Member[],
  { master, tls, config }: ConsulOptions,
): Promise<ConsulServer> {
  const { name, http, serf, rpc } = member;
  const host = `127.0.0.1:${http}`;
  const url = `${tls ? 'https' : 'http'}://${host}`;
  const configuration = {
    server: true,
    bootstrap_expect: all.length,
    node_name: name,
    bind_addr: '127.0.0.1',
    client_addr: '127.0.0.1',
    log_level: 'warn',
    disable_update_check: true,
    leave_on_terminate: false,
    ports: {
      http: tls ? -1 : http,
      https: tls ? http : -1,
      serf_lan: serf,
      serf_wan: -1,
      server: rpc,
      dns: -1,
      grpc: -1,
    },
    performance: { raft_multiplier: 1 },
    // The shortest that a server takes, so that a test waits seconds for the end of a session.
    session_ttl_min: '1s',
    ...(all.length > 1 && { retry_join: all.map((each) => `127.0.0.1:${each.serf}`), retry_interval: '1s' }),
    ...(master && { acl: { enabled: true, default_policy: 'deny', tokens: { master, agent: master } } }),
    ...(tls && { ca_file: tls.ca, cert_file: tls.cert, key_file: tls.key }),
    ...config,
  };
  const server = await ServerProcess.start({
    name: `consul-${name}`,
    command: 'consul',
    prepare: (dataDir) => {
      writeFileSync(join(dataDir, 'agent.json'), JSON.stringify(configuration));
      // The node is the same one after it has lost its data; a name with another id would be refused by the others.
      writeFileSync(join(dataDir, 'node-id'), nodeIdOf(member));
    },
    args: (dataDir) => ['agent', '-data-dir', dataDir, '-config-file', join(dataDir, 'agent.json')],
    // Until a leader has been found, a session cannot be made.
    ready: async () => {
      // One whose answer came too late is nobody's, and ends soon.
      const ttl = config?.['session_ttl_min'] ?? '1s';
      const session = { TTL: ttl, Behavior: 'delete', NodeChecks: [] };
      const { ID } = (await ask(url, 'PUT', '/v1/session/create', { master, tls, body: session })) as { ID: string };
      await ask(url, 'PUT', `/v1/session/destroy/${ID}`, { master, tls });
      return true;
    },
  });
  return Object.assign(server, { url, host });
}

const nodeIds = new WeakMap<Member, string>();

function nodeIdOf(member: Member): string {
  const id = nodeIds.get(member) ?? randomUUID();
  nodeIds.set(member, id);
  return id;
}

async function leaderOf(
  servers: readonly ConsulServer[],
  members: readonly Member[],
): Promise<ConsulServer | undefined> {
  const answers = await Promise.allSettled(servers.map(({ url }) => ask(url, 'GET', '/v1/status/leader')));
  const votes = answers.map((answer) => (answer.status === 'fulfilled' ? answer.value : undefined));
  return servers.find((server, index) => {
    const address = `127.0.0.1:${members.find(({ http }) => server.host.endsWith(`:${http}`))?.rpc}`;
    // The others name a leader that is gone for some seconds more.
    return votes[index] === address && votes.filter((vote) => vote === address).length > servers.length / 2;
  });
}

interface Question {
  readonly master?: string | undefined;
  readonly tls?: TlsFiles | undefined;
  readonly body?: unknown;
}

/** One request of a test to the API, on a connection of its own. @throws when the answer is no success */
export async function ask(
  url: string,
  method: 'GET' | 'PUT' | 'DELETE',
  path: string,
  { master, tls, body }: Question = {},
): Promise<unknown> {
  const headers = { ...(master && { 'X-Consul-Token': master }) };
  const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
  if (tls) return askByTls(url + path, method, headers, tls, text);
  const response = await fetch(url + path, {
    method,
    headers,
    signal: AbortSignal.timeout(1_000),
    ...(text !== undefined && { body: text }),
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return parsed(await response.text());
}

async function askByTls(
  url: string,
  method: string,
  headers: Record<string, string>,
  { ca }: TlsFiles,
  body: string | undefined,
): Promise<unknown> {
  const agent = new Agent({ ca: readFileSync(ca), keepAlive: false });
  return new Promise((resolve, reject) => {
    const call = request(url, { method, headers, agent, timeout: 1_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () =>
        response.statusCode === 200 ? resolve(parsed(text)) : reject(new Error(`${response.statusCode} ${text}`)),
      );
    });
    call.on('error', reject);
    call.on('timeout', () => call.destroy(new Error('timeout')));
    call.end(body);
  });
}

function parsed(text: string): unknown {
  return text === '' ? undefined : JSON.parse(text);
}

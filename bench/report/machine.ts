import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, loadavg, totalmem } from 'node:os';
import type { Redis } from 'ioredis';
import { peerVersions } from '../peers/install.js';

const require = createRequire(import.meta.url);
const versionOf = (name: string): string => (require(`${name}/package.json`) as { version: string }).version;

/** Where figures come from: without it they mean nothing. */
export async function describeMachine(admin: Redis, workerCores: string | undefined): Promise<Record<string, string>> {
  const server = /redis_version:(\S+)/.exec(await admin.info('server'))?.[1] ?? 'unknown';
  const all = cpus();
  const peers = Object.entries(peerVersions()).filter(([name]) => name !== 'ioredis');
  return {
    date: new Date().toISOString(),
    machine: `${all.length} × ${all[0]?.model.trim() ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GB, ${kernel()}`,
    load: `${loadavg()
      .map((load) => load.toFixed(1))
      .join(' ')} before the first trial`,
    cores:
      workerCores === undefined ? 'not separated' : `server on 0, clients on ${workerCores} where a scenario is pinned`,
    versions: `Node ${process.version}, Redis ${server}, ioredis ${versionOf('ioredis')}, @redis/client ${versionOf('@redis/client')}`,
    peers: peers.map(([name, version]) => `${name} ${version.replace(/^npm:.*@/, '')}`).join(', '),
  };
}

function kernel(): string {
  try {
    return readFileSync('/proc/version', 'utf8').split(' ').slice(0, 3).join(' ');
  } catch {
    return process.platform;
  }
}

import { isDenied } from './refusals.js';

type Call = (...words: readonly string[]) => Promise<unknown>;

/** What `INFO` says in one of its sections, or nothing for a user who may not ask. */
async function infoOf(call: Call, section: string): Promise<string> {
  try {
    return String(await call('INFO', section));
  } catch (error) {
    if (isDenied(error)) return '';
    throw error;
  }
}

/** @throws when the server is older than Redis 6.2: it could never renew what several may hold */
export async function checkVersion(call: Call): Promise<void> {
  const [, major, minor] = /^redis_version:(\d+)\.(\d+)/m.exec(await infoOf(call, 'server')) ?? [];
  if (major === undefined || Number(major) > 6 || (Number(major) === 6 && Number(minor) >= 2)) return;
  throw new Error(
    `the server is Redis ${major}.${minor}, which cannot renew shared locks and semaphores. Use Redis 6.2 or later, or Valkey`,
  );
}

/** What an operator should change, although locks work. */
export async function warningsOf(call: Call): Promise<readonly string[]> {
  const [, policy] = /^maxmemory_policy:(\S+)/m.exec(await infoOf(call, 'memory')) ?? [];
  if (policy === undefined || policy === 'noeviction') return [];
  return [
    `Redis has \`maxmemory-policy ${policy}\`: when its memory is full it evicts locks that are held, and two may hold one key. Set \`maxmemory-policy noeviction\`, or give the locks a server of their own.`,
  ];
}

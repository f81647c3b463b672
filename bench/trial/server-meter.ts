import type { Redis } from 'ioredis';

/** What a server did in a stretch of time. */
export interface ServerUse {
  readonly seconds: number;
  /** CPU milliseconds of its main thread. */
  readonly cpuMs: number;
  /** How often each command ran, those inside of scripts included. */
  readonly calls: Readonly<Record<string, number>>;
  /** Keys on the server in the end. */
  readonly keys: number;
}

/** Starts measuring; resolves to how to end that. */
export async function measureServer(admin: Redis): Promise<() => Promise<ServerUse>> {
  const before = await look(admin);
  return async () => {
    const after = await look(admin);
    const calls: Record<string, number> = {};
    for (const [command, count] of Object.entries(after.calls)) {
      const more = count - (before.calls[command] ?? 0);
      if (more > 0 && command !== 'info') calls[command] = more;
    }
    return { seconds: after.at - before.at, cpuMs: (after.cpu - before.cpu) * 1000, calls, keys: after.keys };
  };
}

/** Of all that ran, what the clients sent. */
export function sentCommands(use: ServerUse, sends: Readonly<Record<string, number>>): number {
  return Object.entries(sends).reduce((sum, [command, share]) => sum + (use.calls[command] ?? 0) * share, 0);
}

/** Scripts alone. */
export const scriptsRun = ({ calls }: ServerUse): number => (calls['evalsha'] ?? 0) + (calls['eval'] ?? 0);

export const executedCommands = ({ calls }: ServerUse): number =>
  Object.values(calls).reduce((sum, count) => sum + count, 0);

async function look(admin: Redis): Promise<{ at: number; cpu: number; keys: number; calls: Record<string, number> }> {
  const text = await admin.info('cpu', 'commandstats', 'keyspace');
  const calls: Record<string, number> = {};
  for (const [, command = '', count] of text.matchAll(/^cmdstat_([^:|]+)[^:]*:calls=(\d+)/gm)) {
    calls[command] = (calls[command] ?? 0) + Number(count);
  }
  const keys = Number(/^db0:keys=(\d+)/m.exec(text)?.[1] ?? 0);
  const cpu = (name: string): number => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(text)?.[1] ?? 0);
  return {
    at: performance.now() / 1000,
    cpu: cpu('used_cpu_user_main_thread') + cpu('used_cpu_sys_main_thread'),
    keys,
    calls,
  };
}

/** Several stretches as one. */
export function together(uses: readonly ServerUse[]): ServerUse {
  const calls: Record<string, number> = {};
  for (const use of uses) {
    for (const [command, count] of Object.entries(use.calls)) calls[command] = (calls[command] ?? 0) + count;
  }
  const sum = (value: (use: ServerUse) => number): number => uses.reduce((total, use) => total + value(use), 0);
  return { seconds: sum((use) => use.seconds), cpuMs: sum((use) => use.cpuMs), calls, keys: uses.at(-1)?.keys ?? 0 };
}

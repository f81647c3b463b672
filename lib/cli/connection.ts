import { LockEngine } from '../engine/engine.js';
import { isModuleMissing } from '../lock/client-package.js';
import { toMilliseconds } from '../lock/duration.js';
import { LockConfigurationError } from '../lock/errors.js';
import { type Terminal, UsageError } from './command.js';
import { type Given, type Server, servers } from './servers.js';

/** The options of every command that asks a server. */
export const connectionOptions = {
  ...Object.fromEntries(Object.keys(servers).map((name) => [name, { type: 'string' as const }])),
  ...Object.fromEntries(
    Object.values(servers).flatMap(({ more = {} }) =>
      Object.keys(more).map((name) => [name, { type: 'string' as const }]),
    ),
  ),
  prefix: { type: 'string' },
  timeout: { type: 'string' },
  json: { type: 'boolean' },
} as const;

/** What those options say. */
export type ConnectionValues = Readonly<Record<string, string | boolean | undefined>>;

/**
 * Asks the server that the options name, and hangs up.
 *
 * @throws UsageError unless they name exactly one
 * @throws Error when it does not answer, and when the client for it is not installed
 */
export async function withEngine<T>(
  values: ConnectionValues,
  { env }: Terminal,
  ask: (engine: LockEngine) => Promise<T>,
): Promise<T> {
  const [name, server] = theServer(values);
  const given: Given = {
    option: (option) => textOf(values[option]),
    env: (variable) => env[variable] || undefined,
  };
  const prefix = textOf(values['prefix']);
  let engine: LockEngine | undefined;
  try {
    engine = new LockEngine(await server.make(addressOf(name, values, env), given), {
      name,
      callTimeout: timeoutOf(values),
      ...(prefix !== undefined && { prefix }),
    });
    return await ask(engine);
  } catch (error) {
    if (isMissingPackage(error)) throw missing(name, server);
    throw error instanceof LockConfigurationError ? new UsageError(error.message) : error;
  } finally {
    // Nothing is held, and what is left open ends with the process.
    void engine?.close(0).catch(() => undefined);
  }
}

function theServer(values: ConnectionValues): readonly [string, Server] {
  const named = Object.entries(servers).filter(([name]) => values[name] !== undefined);
  const [first, second] = named;
  const all = Object.keys(servers).map((name) => `--${name}`);
  if (first === undefined) throw new UsageError(`Say where the locks are: one of ${all.join(', ')}.`);
  if (second !== undefined) throw new UsageError(`\`--${first[0]}\` and \`--${second[0]}\` are two servers. Name one.`);
  const [name, server] = first;
  for (const [other, { more = {} }] of Object.entries(servers)) {
    const stray = Object.keys(more).find(
      (option) => values[option] !== undefined && !Object.hasOwn(server.more ?? {}, option),
    );
    if (stray !== undefined)
      throw new UsageError(`\`--${stray}\` is an option of \`--${other}\`, not of \`--${name}\`.`);
  }
  return first;
}

/** `env:NAME` stands for the value of that variable. */
function addressOf(name: string, values: ConnectionValues, env: Terminal['env']): string {
  const given = textOf(values[name]) ?? '';
  if (!given.startsWith('env:')) return given;
  const variable = given.slice('env:'.length);
  const address = env[variable];
  if (address) return address;
  throw new UsageError(`\`--${name}\` names the environment variable ${variable}, which is not set.`);
}

function timeoutOf(values: ConnectionValues): number {
  const timeout = toMilliseconds('--timeout', textOf(values['timeout']) ?? '5s');
  if (timeout < 1) throw new UsageError('`--timeout` must be at least 1 ms.');
  return timeout;
}

const textOf = (value: string | boolean | undefined): string | undefined =>
  typeof value === 'string' ? value : undefined;

/** Whatever an error of ours was made of. */
const isMissingPackage = (error: unknown): boolean =>
  error instanceof Error && (isModuleMissing(error) || isMissingPackage(error.cause));

const missing = (name: string, { client = 'a client' }: Server): Error =>
  new Error(
    `\`--${name}\` needs the package ${client}, which is not installed here. Install it with \`npm install ${client}\`, ` +
      `or bring it along: \`npx --package=nestjs-distributed-lock --package=${client} nestjs-distributed-lock …\`.`,
  );

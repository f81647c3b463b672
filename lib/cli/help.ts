import { servers } from './servers.js';

const WIDTH = 34;

export const row = (name: string, why: string): string => `  ${name.padEnd(WIDTH)}${why}`;

const all = Object.entries(servers);

/** What `--help` says of the options that all commands have which ask a server. */
export const connectionHelp: string = [
  'Where the locks are, one of these. `env:NAME` takes the address from that environment variable.',
  ...all.map(([name, { address, example }]) => row(`--${name} ${address}`, `such as ${example}`)),
  '',
  'More options',
  row('--prefix <text>', "as `prefix` of the module (default 'lock:')"),
  row('--timeout <duration>', 'how long one answer of the server may take (default 5s)'),
  row('--json', 'one JSON document, for programs'),
  ...all.flatMap(([, { more = {} }]) => Object.entries(more).map(([name, why]) => row(`--${name} <name>`, why))),
  '',
  'Logins, from the environment',
  ...new Set(
    all.flatMap(([name, { login }]) =>
      Object.entries(login).map(([variable, why]) => row(variable, `${why}, for --${name.replace('-cluster', '')}`)),
    ),
  ),
  '',
  'Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 nobody holds the key.',
  '',
].join('\n');

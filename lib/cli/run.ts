import { textOf } from '../lock/messages.js';
import { type Command, type Outcome, type Terminal, UsageError } from './command.js';
import { inspectCommand } from './inspect.js';
import { listCommand } from './list.js';
import { mysqlCommand } from './mysql.js';
import { postgresCommand } from './postgres.js';
import { releaseCommand } from './release.js';

const commands: readonly Command[] = [listCommand, inspectCommand, releaseCommand, postgresCommand, mysqlCommand];

/** Runs the command that the first argument names. */
export async function run([name, ...args]: readonly string[], terminal: Terminal = { env: {} }): Promise<Outcome> {
  if (name === undefined || HELP.has(name)) return printed(help());
  const command = commands.find((one) => one.name === name);
  if (!command) return { code: 2, out: '', err: `There is no command \`${name}\`.\n\n${help()}` };
  if (args.some((arg) => HELP.has(arg))) return printed(helpOf(command));
  try {
    const result = await command.run(args, terminal);
    return typeof result === 'string' ? printed(result) : result;
  } catch (error) {
    const message = withoutLogin(textOf(error));
    if (error instanceof UsageError) return { code: 2, out: '', err: `${message}\n\n${usageOf(command)}\n` };
    return { code: 1, out: '', err: `${message}\n` };
  }
}

/** An address that was put in the wrong place may have the password in it. */
const withoutLogin = (text: string): string => text.replace(/:\/\/[^\s/]*@/g, '://***@');

const HELP: ReadonlySet<string> = new Set(['--help', '-h']);

const printed = (out: string): Outcome => ({ code: 0, out, err: '' });

const usageOf = ({ name, usage }: Command): string => `Usage: npx nestjs-distributed-lock ${name} ${usage}`;

const helpOf = (command: Command): string =>
  `${usageOf(command)}\n  ${command.summary}\n${command.details === undefined ? '' : `\n${command.details}`}`;

const help = (): string => commands.map((command) => `${usageOf(command)}\n  ${command.summary}\n`).join('\n');

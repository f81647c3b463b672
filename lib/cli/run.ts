import { type Command, UsageError } from './command.js';
import { postgresCommand } from './postgres.js';

const commands: readonly Command[] = [postgresCommand];

/** What a run comes to: what is printed where, and the process's exit code. */
export interface Outcome {
  readonly code: 0 | 1 | 2;
  readonly out: string;
  readonly err: string;
}

/** Runs the command that the first argument names. Wrong arguments end with 2, a failure with 1. */
export async function run([name, ...args]: readonly string[]): Promise<Outcome> {
  if (name === undefined || name === '--help' || name === '-h') return { code: 0, out: help(), err: '' };
  const command = commands.find((one) => one.name === name);
  if (!command) return { code: 2, out: '', err: `There is no command \`${name}\`.\n\n${help()}` };
  try {
    return { code: 0, out: await command.run(args), err: '' };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof UsageError) return { code: 2, out: '', err: `${message}\n\n${usageOf(command)}\n` };
    return { code: 1, out: '', err: `${message}\n` };
  }
}

const usageOf = ({ name, usage }: Command): string => `Usage: npx nestjs-distributed-lock ${name} ${usage}`;

const help = (): string => commands.map((command) => `${usageOf(command)}\n  ${command.summary}\n`).join('\n');

import { parseArgs, type ParseArgsConfig } from 'node:util';
import { textOf } from '../lock/messages.js';
import { UsageError } from './command.js';

type Options = NonNullable<ParseArgsConfig['options']>;

interface Shape<O extends Options> {
  readonly args: string[];
  readonly options: O;
  readonly allowPositionals: true;
}

/**
 * The options and the other arguments.
 * @throws UsageError for one that is not known or lacks its value
 */
export function parsed<const O extends Options>(
  args: readonly string[],
  options: O,
): ReturnType<typeof parseArgs<Shape<O>>> {
  try {
    return parseArgs<Shape<O>>({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(textOf(error));
  }
}

/** @throws UsageError unless there is exactly one argument that is no option */
export function theOnly(what: string, positionals: readonly string[]): string {
  const [first, second] = positionals;
  if (first === undefined) throw new UsageError(`The ${what} is missing.`);
  if (second !== undefined) throw new UsageError(`\`${second}\` is one argument too many. Name one ${what}.`);
  return first;
}

/** @throws UsageError when there is any */
export function none(positionals: readonly string[]): void {
  if (positionals[0] !== undefined) throw new UsageError(`\`${positionals[0]}\` is no option.`);
}

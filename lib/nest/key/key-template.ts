import { LockConfigurationError, LockKeyError } from '../../lock/errors.js';
import { encodeKeyValue } from './key-value.js';

/** `<order.id>`: a value of the call, and the way into it. */
interface Placeholder {
  /** The template as written, for messages. */
  readonly text: string;
  /** `order` or `0`. */
  readonly argument: string;
  /** `['id']` */
  readonly path: readonly string[];
}

interface KeyTemplate {
  /** One more than there are placeholders. */
  readonly literals: readonly string[];
  readonly placeholders: readonly Placeholder[];
}

/** Which argument a placeholder means. */
export interface Argument {
  readonly index: number;
  /** It is `...rest`: that one and all behind it. */
  readonly rest: boolean;
}

/** Finds the argument that a placeholder names. Throws for an unknown name. */
export type ResolveArgument = (name: string, template: string) => Argument;

/** The key of one call, from its arguments. */
export type KeyFromValues = (values: readonly unknown[]) => string;

/**
 * Reads `order:<id>` once, when the class is defined, so that a wrong name never waits for the first call.
 *
 * @param where such as `Orders.place`, for messages
 * @throws LockConfigurationError
 */
export function compileTemplate(template: string, resolve: ResolveArgument, where: string): KeyFromValues {
  const { literals, placeholders } = parse(template, where);
  const parts = placeholders.map((placeholder, at) => ({
    placeholder,
    argument: resolve(placeholder.argument, template),
    literal: literals[at + 1] ?? '',
  }));
  return (values) => {
    let key = literals[0] ?? '';
    for (const { placeholder, argument, literal } of parts) {
      const value = argument.rest ? values.slice(argument.index) : values[argument.index];
      key += encodeKeyValue(follow(value, placeholder, where), placeholder.text, where) + literal;
    }
    return key;
  };
}

/** The text of a template and its `<…>`. */
const PLACEHOLDER = /<([^<>]*)>/g;
/** How routes and other libraries write a placeholder: `{id}`, and `:id` where a separator or nothing is before it. */
const FOREIGN = /(\{\s*([\w$.]+)\s*\}|(?<=^|[:/]):([A-Za-z_$][\w$]*))/;
/** A separator keeps two values apart only if the encoded values cannot contain it. */
const SEPARATES = /[^\w\-.!~*'()%]/;

function parse(template: string, where: string): KeyTemplate {
  const refuse = (why: string) => new LockConfigurationError(`${where}: the lock key \`${template}\` ${why}`);
  if (template === '') throw refuse('is empty.');
  const literal = /\$\{\s*([\w$.]*)[^}]*\}/.exec(template);
  if (literal !== null) {
    throw refuse(
      `has \`${literal[0]}\`, which is text between quotes, so that all calls would share one key. Write \`<${literal[1] || 'name'}>\`, or give a function.`,
    );
  }

  const foreign = FOREIGN.exec(template);
  if (foreign !== null) {
    throw refuse(
      `has \`${foreign[1] ?? ''}\`, which is text here, so that all calls would share one key. Write \`<${foreign[2] ?? foreign[3] ?? ''}>\`. ` +
        'If it is meant as text, give a function that returns it.',
    );
  }

  const literals: string[] = [];
  const placeholders: Placeholder[] = [];
  let end = 0;
  for (const match of template.matchAll(PLACEHOLDER)) {
    literals.push(template.slice(end, match.index));
    placeholders.push(placeholderOf(match[0], match[1] ?? '', refuse));
    end = match.index + match[0].length;
  }
  literals.push(template.slice(end));

  if (literals.some((literal) => /[<>]/.test(literal))) {
    throw refuse(
      'has a bracket without its partner. A placeholder reads `<name>`, `<name.path>`, `<0>` or `<0.path>`.',
    );
  }
  const conflict = literals.slice(1, -1).find((literal) => !SEPARATES.test(literal));
  if (conflict !== undefined) {
    throw refuse(
      `has ${conflict === '' ? 'nothing' : `only \`${conflict}\``} between two values, so that different values could make one key. ` +
        'Separate them with a character that is escaped inside a value, such as `:` or `/`.',
    );
  }
  return { literals, placeholders };
}

function placeholderOf(text: string, inner: string, refuse: (why: string) => Error): Placeholder {
  const [argument = '', ...path] = inner.trim().split('.');
  if (![argument, ...path].every((step) => step !== '' && step === step.trim())) {
    throw refuse(`has the placeholder \`${text}\`. Write \`<name>\`, \`<name.path>\`, \`<0>\` or \`<0.path>\`.`);
  }
  return { text, argument, path };
}

/** Walks into objects only. The length of a string is not a key, and a missing step must not become the text "undefined". */
function follow(start: unknown, { text, argument, path }: Placeholder, where: string): unknown {
  let value = start;
  let walked = argument;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) {
      throw new LockKeyError(
        `${where}: \`${text}\` in the lock key has no value, because \`${walked}\` is ${value === null ? 'null' : typeof value}; ` +
          'nothing was locked and the method did not run. Check what the method was called with.',
      );
    }
    // The path may name any property. The result is checked before it is used.
    value = (value as Readonly<Record<string, unknown>>)[step];
    walked += `.${step}`;
  }
  return value;
}

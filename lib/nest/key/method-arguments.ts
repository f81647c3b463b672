import { LockConfigurationError } from '../../lock/errors.js';
import type { ResolveArgument } from './key-template.js';
import { lockParams } from './lock-param.decorator.js';
import { declaredParametersOf, type Parameters, parametersOf } from './parameter-names.js';
import { routeArguments } from './route-arguments.js';

type Method = (...args: never[]) => unknown;

/**
 * Finds the argument that a placeholder names. It looks for `@LockParam` first, then for the parameter's own name, then for the name in a
 * parameter decorator such as `@Param('id')`.
 *
 * It looks when the class is defined, and throws for an unknown or ambiguous name. A minified build then does not start, instead of locking
 * `undefined` or something else.
 */
export function argumentResolver(
  prototype: object,
  property: string | symbol,
  method: Method,
  where: string,
): ResolveArgument {
  const parsed = declaredParametersOf(prototype, property) ?? parametersOf(method);
  const chosen = lockParams(prototype, property);
  const routed = routeArguments(prototype, property).filter(({ data }) => typeof data === 'string' && data !== '');

  return (argument, template) => {
    const refuse = (why: string) =>
      new LockConfigurationError(`${where}: \`<${argument}>\` in the lock key \`${template}\` ${why}`);

    if (/^\d+$/.test(argument)) {
      const index = Number(argument);
      const count = parsed?.names.length ?? Infinity;
      if (index >= count && parsed?.rest !== true && !readsArguments(method)) {
        throw refuse(`is out of range. The method has ${count === 1 ? '1 parameter' : `${count} parameters`}.`);
      }
      return { index, rest: false };
    }

    const own = chosen.get(argument);
    const isRest = (index: number) => parsed?.rest === true && index === parsed.names.length - 1;
    if (own !== undefined) return { index: own, rest: isRest(own) };

    const byName = parsed?.names.indexOf(argument) ?? -1;
    const meant = new Set(routed.filter(({ data }) => data === argument).map(({ index }) => index));
    if (byName >= 0) meant.add(byName);
    const [index] = meant;
    if (index === undefined) throw refuse(`is not known. ${known(parsed, chosen, routed)}`);
    if (meant.size > 1) {
      throw refuse(
        `is ambiguous: it names the parameters ${[...meant].toSorted((a, b) => a - b).join(' and ')}. ` +
          `Name the one you mean with @LockParam('${argument}'), or by its index such as \`<${index}>\`.`,
      );
    }
    return { index, rest: isRest(index) };
  };
}

/** `arguments` reaches further than the list. */
function readsArguments(method: Method): boolean {
  return /\barguments\b/.test(Function.prototype.toString.call(method));
}

function known(
  parsed: Parameters | undefined,
  chosen: ReadonlyMap<string, number>,
  routed: readonly { readonly data: unknown }[],
): string {
  const names = new Set([...chosen.keys(), ...(parsed?.names ?? []), ...routed.map(({ data }) => String(data))]);
  names.delete(undefined);
  const unnamed = (parsed?.names ?? []).flatMap((name, index) => (name === undefined ? [`<${index}.…>`] : []));
  const list = [...names].map((name) => `<${String(name)}>`);
  return (
    (list.length === 0 ? 'No parameter has a name here. ' : `Known here: ${list.join(', ')}. `) +
    (unnamed.length === 0 ? '' : `Destructured parameters are reached by index: ${unnamed.join(', ')}. `) +
    'A minifier or a target below ES2017 takes parameter names away: ' +
    "name the parameter with @LockParam('…'), use its index such as `<0>`, or give a function of the arguments."
  );
}

import { describe, expect, test } from 'vitest';
import { parametersOf } from '../../lib/nest/key/parameter-names.js';

/** As plain JavaScript, so that no compiler tidies the source away. */
const method = (source: string): ((...args: never[]) => unknown) =>
  new Function(`const made = { ${source} }; return made[Reflect.ownKeys(made)[0]]`)() as (...args: never[]) => unknown;
const expression = (source: string): ((...args: never[]) => unknown) =>
  new Function(`return (${source})`)() as (...args: never[]) => unknown;

describe('the scanner reads the names of parameters', () => {
  test.each<[string, string, (string | undefined)[]]>([
    ['none', 'm() {}', []],
    ['some', 'm(a, b1, $c, _d) {}', ['a', 'b1', '$c', '_d']],
    ['async', 'async m(id) {}', ['id']],
    ['an async generator', 'async *m(id) {}', ['id']],
    ['a method called async', 'async(id) {}', ['id']],
    ['a trailing comma and line breaks', 'm(\n  id,\n  name,\n) {}', ['id', 'name']],
    ['comments', 'm(/* (a, */ id /* , x */, // no ) here\n name /**/) {}', ['id', 'name']],
    ['comments before the list', 'async /* ( */ m /* ) */ (id) {}', ['id']],
    ['defaults', 'm(id = 1, name = "x") {}', ['id', 'name']],
    ['strings with brackets', `m(a = ')', b = "(,", c = '\\'),', d) {}`, ['a', 'b', 'c', 'd']],
    ['templates with functions inside', 'm(a = `),${((x, y) => `}${x}`)(1, 2)}(`, b) {}', ['a', 'b']],
    ['templates with escapes', 'm(a = `\\`,\\${(`, b) {}', ['a', 'b']],
    ['regular expressions', 'm(a = /[/)(,]\\/,"/.test(","), b = 4 / 2, c = (1) / 2 / 1, d) {}', ['a', 'b', 'c', 'd']],
    ['division after a name', 'm(x, a = x / 2, b = x / 3) {}', ['x', 'a', 'b']],
    ['a regular expression after typeof', 'm(a = typeof /,/, b) {}', ['a', 'b']],
    ['nested brackets', 'm(a = [1, [2, (3, 4)]], b = { x: [1, { y: 2 }], z() { return ")" } }, c) {}', ['a', 'b', 'c']],
    ['arrow functions', 'm(a = (x, y) => x, b = (z) => ({ z }), c = async (q) => { await q; }) {}', ['a', 'b', 'c']],
    ['classes', 'm(a = class { m(x, y) { return ")"; } }, b) {}', ['a', 'b']],
    ['destructured objects', 'm({ id, name: { first } = {} }, other) {}', [undefined, 'other']],
    ['destructured arrays', 'm([first, second] = [1, 2], other) {}', [undefined, 'other']],
    ['destructured with defaults', 'm({ id = ")", q } = {}, b) {}', [undefined, 'b']],
    ['rest', 'm(id, ...rest) {}', ['id', 'rest']],
    ['rest with a space', 'm(id, ... rest) {}', ['id', 'rest']],
    ['rest destructured', 'm(id, ...[a, b]) {}', ['id', undefined]],
    ['computed names', 'async ["place" + ((x, y) => `(${x}`)("a", ")")](id, name) {}', ['id', 'name']],
    ['string names', '"place (an, order)"(id) {}', ['id']],
    ['numeric names', '0x1f(id) {}', ['id']],
    ['symbol names', '[Symbol.for("a(b")](id) {}', ['id']],
    ['letters of all languages', 'm(größe, 名前, ид) {}', ['größe', '名前', 'ид']],
    ['escapes in names', 'm(\\u0061b, \\u{63}d) {}', ['ab', 'cd']],
    [
      'names that begin with keywords',
      'm(asyncId, newName, inside, ofAll) {}',
      ['asyncId', 'newName', 'inside', 'ofAll'],
    ],
    ['defaults over earlier parameters', 'm(a, b = a, c = [a, b].join(",")) {}', ['a', 'b', 'c']],
    ['optional chains and exponents', 'm(a, b = a?.b?.(1, 2) ?? 2 ** 3, c) {}', ['a', 'b', 'c']],
  ])('%s', (_what, source, names) => {
    expect(parametersOf(method(source))?.names).toEqual(names);
  });

  test.each<[string, string, string[]]>([
    ['a function', 'function (a, b) {}', ['a', 'b']],
    ['a named async function', 'async function place(a, b) {}', ['a', 'b']],
    ['an arrow function', '(a, b) => a', ['a', 'b']],
    ['an arrow function of one', 'id => id', ['id']],
    ['an async arrow function of one', 'async id => id', ['id']],
  ])('of %s', (_what, source, names) => {
    expect(parametersOf(expression(source))?.names).toEqual(names);
  });

  test('private methods', () => {
    const source = 'class { async #place(id, name) {} get() { return this.#place; } }';
    const Private = expression(source) as unknown as new () => { get(): (...args: never[]) => unknown };
    expect(parametersOf(new Private().get())?.names).toEqual(['id', 'name']);
  });

  test('and knows which is the rest', () => {
    expect(parametersOf(method('m(id, ...others) {}'))?.rest).toBe(true);
    expect(parametersOf(method('m(id, others = [...[]]) {}'))?.rest).toBe(false);
  });

  test('and knows when there is no source to read', () => {
    expect(parametersOf(Math.max)).toBeUndefined();
    const bound = function (this: unknown, id: string) {
      return [this, id];
    }.bind(undefined);
    expect(parametersOf(bound)).toBeUndefined();
    expect(parametersOf(new Proxy((id: string) => id, {}))).toBeUndefined();
  });
});

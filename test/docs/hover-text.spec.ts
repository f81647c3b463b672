import { relative } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { packageEntries, ROOT } from '../../tools/package-entries.js';

/** What an editor shows apart from the text. Anything else is an accident, such as `@Locked` at the start of a line of an example. */
const TAGS = new Set(['param', 'returns', 'throws', 'default', 'deprecated', 'see', 'template']);

const entries = packageEntries();
const files = entries.map(({ source }) => `${ROOT}/lib/${source}.ts`);
const { config } = ts.readConfigFile(`${ROOT}/tsconfig.json`, (path) => ts.sys.readFile(path)) as {
  config: { compilerOptions: object };
};
const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT);
const program = ts.createProgram(files, { ...options, skipLibCheck: true, noEmit: true });
const checker = program.getTypeChecker();

interface Public {
  /** Such as `nestjs-distributed-lock/redis: RedisOptions.url`. */
  readonly name: string;
  readonly symbol: ts.Symbol;
}

const publicNames: readonly Public[] = entries.flatMap(({ name }, index) => {
  const module = checker.getSymbolAtLocation(program.getSourceFile(files[index]!)!);
  return checker.getExportsOfModule(module!).map((exported) => ({
    name: `${name}: ${exported.getName()}`,
    symbol: exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported,
  }));
});

/** What a user writes or reads on a public type: its members, unless they come from another library. */
const members: readonly Public[] = publicNames.flatMap(({ name, symbol }) => {
  const { flags } = symbol;
  if (!(flags & (ts.SymbolFlags.Interface | ts.SymbolFlags.Class | ts.SymbolFlags.TypeAlias))) return [];
  const type = checker.getDeclaredTypeOfSymbol(symbol);
  const parts = type.isUnion() ? type.types : [type];
  return parts.flatMap((part) =>
    checker
      .getPropertiesOfType(part)
      .filter((member) => isOurs(member) && isVisible(member) && isWritten(member))
      .map((member) => ({ name: `${name}.${member.getName()}`, symbol: member })),
  );
});

function isOurs(symbol: ts.Symbol): boolean {
  return (symbol.declarations ?? []).some(
    (node) => !relative(`${ROOT}/lib`, node.getSourceFile().fileName).startsWith('..'),
  );
}

/** Not what a union rules out, as `url?: never` does beside `client`. */
function isWritten(symbol: ts.Symbol): boolean {
  return !(checker.getTypeOfSymbol(symbol).flags & (ts.TypeFlags.Never | ts.TypeFlags.Undefined));
}

function isVisible(symbol: ts.Symbol): boolean {
  return (
    !symbol.getName().startsWith('__') &&
    (symbol.declarations ?? []).every((node) => {
      const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected;
      return (
        !(ts.getCombinedModifierFlags(node) & hidden) &&
        !(ts.isPropertyDeclaration(node) && ts.isPrivateIdentifier(node.name))
      );
    })
  );
}

const textOf = ({ symbol }: Public): string => ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim();

describe('what an editor shows of the package', () => {
  it('sees all that is public', () => {
    expect(entries.length).toBeGreaterThan(8);
    expect(publicNames.length).toBeGreaterThan(80);
    expect(members.length).toBeGreaterThan(150);
  });

  it('every public name has a text', () => {
    expect(publicNames.filter((one) => textOf(one) === '').map(({ name }) => name)).toEqual([]);
  });

  it('every option has a text', () => {
    const options = members.filter(({ name }) => /Options\./.test(name));
    expect(options.length).toBeGreaterThan(50);
    expect(options.filter((one) => textOf(one) === '').map(({ name }) => name)).toEqual([]);
  });

  it('no text falls apart into tags that nobody meant', () => {
    const strange = [...publicNames, ...members].flatMap(({ name, symbol }) =>
      symbol
        .getJsDocTags(checker)
        .filter((tag) => !TAGS.has(tag.name))
        .map((tag) => `${name}: @${tag.name}`),
    );
    expect(strange).toEqual([]);
  });
});

import { readFileSync } from 'node:fs';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { ROOT } from './code-blocks.js';

/** What the author of a first backend should have to read. */
const MOST_NAMES = 14;

const PORT = `${ROOT}lib/backends/backend.ts`;
const program = ts.createProgram([PORT], { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022 });
const checker = program.getTypeChecker();

const resolved = (symbol: ts.Symbol): ts.Symbol =>
  symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;

const exported = new Map(
  checker
    .getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(PORT)!)!)
    .map((symbol) => [resolved(symbol), symbol.getName()]),
);

/** The names that one meets from here on, without what may be left out. */
function namesFrom(...starts: readonly string[]): readonly string[] {
  const seen = new Set<ts.Symbol>();
  const meet = (symbol: ts.Symbol | undefined): void => {
    if (!symbol || seen.has(resolved(symbol))) return;
    seen.add(resolved(symbol));
    for (const declaration of resolved(symbol).declarations ?? []) read(declaration);
  };
  const read = (node: ts.Node): void => {
    const { questionToken } = node as ts.PropertySignature | ts.MethodSignature;
    if (ts.isTypeElement(node) && questionToken) return;
    if (ts.isTypeReferenceNode(node)) meet(checker.getSymbolAtLocation(node.typeName));
    if (ts.isExpressionWithTypeArguments(node)) meet(checker.getSymbolAtLocation(node.expression));
    ts.forEachChild(node, read);
  };
  for (const [symbol, name] of exported) if (starts.includes(name)) meet(symbol);
  return [...exported].filter(([symbol]) => seen.has(symbol)).map(([, name]) => name);
}

/** The names in the first column of the table under a heading of the page. */
function namesOnPage(heading: string): readonly string[] {
  const page = readFileSync(`${ROOT}docs/backends.md`, 'utf8');
  const part = page.split(/^##+ /m).find((text) => text.startsWith(`${heading}\n`)) ?? '';
  return [...part.matchAll(/^\| (`.*?) +\|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, name = '']) => name),
  );
}

const first = namesFrom('KeyBackend', 'SessionBackend', 'SessionEndedError');

describe('the names of the port', () => {
  it('are few for a first backend', () => {
    expect(namesFrom('KeyBackend').length).toBeLessThanOrEqual(MOST_NAMES - 3);
    expect(namesFrom('KeyBackend')).toContain('Claim');
    expect(first.length).toBeLessThanOrEqual(MOST_NAMES);
  });

  it('are on the page: those of a first backend, and apart from them those that can wait', () => {
    expect([...namesOnPage('The names that you meet')].sort()).toEqual([...first].sort());
    const later = [...exported.values()].filter((name) => !first.includes(name));
    expect([...namesOnPage('Names for later')].sort()).toEqual(later.sort());
  });
});

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DEFAULTS } from '../../lib/engine/options/options.js';
import { toMilliseconds, type Duration } from '../../lib/lock/duration.js';
import * as lockErrors from '../../lib/lock/errors.js';
import { type CodeBlock, codeBlocks, ROOT, typeErrors } from './code-blocks.js';

const read = (path: string) => readFileSync(ROOT + path, 'utf8');
const README = read('README.md');
const PAGES = [
  'README.md',
  ...readdirSync(`${ROOT}docs`)
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
  ...['sample', 'lib/backends', 'test'].flatMap((folder) =>
    readdirSync(ROOT + folder, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('README.md') && !path.includes('node_modules'))
      .map((path) => `${folder}/${path}`),
  ),
];

/** The text between a heading and the next. */
function section(heading: string): string {
  return README.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
}

/** The cells of a section's tables, without the heads. */
function rows(heading: string): readonly (readonly string[])[] {
  return section(heading)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

/** What the compiler refuses, and what it says. */
const MISTAKES: readonly (readonly [code: string, text: string])[] = [
  ["@Locked('a:<id>')\nsync(id: string): string { return id; }", 'the method must return a promise, an Observable'],
  ["@Locked('a:<id>', { timeout: '5s' })\nasync typo(id: string) {}", "'timeout' does not exist in type"],
  [
    "@Locked('a:<id>', { wait: '5 seconds' })\nasync unit(id: string) {}",
    '"5 seconds"\' is not assignable to type \'Duration',
  ],
  [
    "@Locked('a:<id>', { onBusy: 'ignore' })\nasync word(id: string) {}",
    '"ignore"\' is not assignable to type \'OnBusy',
  ],
  [
    "@Locked('a:<id>', { onBusy: () => 5 })\nasync value(id: string) { return id; }",
    '`onBusy` gives a value of another type',
  ],
  ['@Locked((id: number) => `a:${id}`)\nasync key(id: string) {}', 'the key function takes other arguments'],
  ["@Locked('a', { mode: 'shared', limit: 3 })\nasync kind() {}", "'3' is not assignable to type '1'"],
];

/** A mistake as the only method of a class. */
const mistaken = ([code]: (typeof MISTAKES)[number], at: number): CodeBlock => ({
  where: `mistake ${at}:`,
  file: `src/mistake-${at}.ts`,
  code: `import { Locked } from 'nestjs-distributed-lock';\nexport class Mistake {\n${code}\n}`,
});

const plain = (cell = '') => cell.replace(/^`'?|'?`$/g, '');

describe('the README', () => {
  it('has code that compiles, as all our pages do', { timeout: 60_000 }, () => {
    const blocks = PAGES.flatMap(codeBlocks);
    expect(blocks.length).toBeGreaterThan(10);
    // Each can be pasted as a file, under the name in its first line; only the first, which shows what it is about, has none.
    expect(blocks.filter(({ file }) => file === undefined).map(({ where }) => where)).toEqual([blocks[0]?.where]);
    const errors = typeErrors([...blocks, ...MISTAKES.map(mistaken)]);
    // One error for each, which says in its words what is wrong.
    expect(errors).toEqual(MISTAKES.map(([, text], at) => expect.stringMatching(`^mistake ${at}:[^]*${text}`)));
  });

  it('names the defaults that the engine has', () => {
    const shown = new Map(rows('Options').map(([option, value]) => [plain(option), plain(value)]));
    for (const [option, value] of Object.entries(DEFAULTS)) {
      const text = shown.get(option) ?? '';
      expect({
        [option]: typeof value === 'number' && /\d[a-z]/.test(text) ? toMilliseconds(option, text as Duration) : text,
      }).toEqual({
        [option]: typeof value === 'number' && /\d[a-z]/.test(text) ? value : String(value),
      });
    }
  });

  it('has every error with its code and HTTP status', () => {
    const made = Object.entries(lockErrors).flatMap(([name, LockErrorClass]) => {
      if (name === 'LockError' || !name.endsWith('Error')) return [];
      const error = new (LockErrorClass as new (message: string, details: object) => lockErrors.LockError)('', {});
      return [[name, error.code, String(error.status)]];
    });
    expect(new Set(rows('Errors').map((row) => row.slice(0, 3).map(plain)))).toEqual(new Set(made));
  });

  it('quotes messages that the code has', () => {
    const source = readdirSync(`${ROOT}lib`, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => read(`lib/${path}`))
      .join('\n')
      // One string over several lines, and what is put in.
      .replaceAll(/['"`] \+\s*['"`]/g, '')
      .replaceAll(/\\`/g, '`');
    const quotes = [...section('Troubleshooting').matchAll(/^\*\*(`.+`)\*\*/gm)].map(([, quote = '']) =>
      quote.replaceAll(/^`+ ?| ?`+$/g, ''),
    );
    expect(quotes.length).toBeGreaterThan(5);
    const pieces = quotes.flatMap((quote) =>
      quote
        .split(/…|[.:] /)
        .map((piece) => piece.trim())
        .filter((piece) => piece.length > 3),
    );
    expect(pieces.filter((piece) => !source.includes(piece))).toEqual([]);
  });

  it('names commands, pages and headings that are there', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const commands = PAGES.flatMap((page) =>
      [...read(page).matchAll(/npm run (?:--silent )?([\w:-]+)/g)].map(([, name = '']) => name),
    );
    expect(commands.filter((name) => !(name in scripts))).toEqual([]);

    const headings = new Set(
      [...README.matchAll(/^#+ (.+)$/gm)]
        // As GitHub and package pages make the anchor of a heading.
        .map(([, text = '']) => text.toLowerCase().replaceAll('?', '').replaceAll(' ', '-')),
    );
    const links = [...README.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
    expect(links.filter((target) => target.startsWith('#') && !headings.has(target.slice(1)))).toEqual([]);
    const files = PAGES.flatMap((page) =>
      [...read(page).matchAll(/\]\(((?!#|https?:)[^)\s#]+)[^)]*\)/g)].map(([, target = '']) =>
        join(dirname(page), target),
      ),
    );
    expect(files.filter((path) => !existsSync(ROOT + path))).toEqual([]);
  });
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The TypeScript of a page: a file of somebody's application, as it would be pasted. */
export interface CodeBlock {
  /** Where it stands, such as `README.md:42`. */
  readonly where: string;
  /** What its first line says, such as `src/orders.service.ts`; other blocks of the page may import that. */
  readonly file: string | undefined;
  readonly code: string;
}

/** The TypeScript on a page. */
export function codeBlocks(page: string): readonly CodeBlock[] {
  const text = readFileSync(ROOT + page, 'utf8');
  return [...text.matchAll(/^```(?:ts|js|typescript|javascript)\b[^\n]*\n(.*?)^```$/gms)].map(
    ({ index, 1: code = '' }) => ({
      where: `${page}:${text.slice(0, index).split('\n').length}`,
      file: /^\/\/ ((?:src|test)\/[\w.-]+\.ts)\n/.exec(code)?.[1],
      code,
    }),
  );
}

/** Where a block would be in an application that has the whole page; one without a name gets one. */
export function pathOf({ where, file }: CodeBlock): string {
  const [page = '', line = ''] = where.split(':');
  return join(page.replaceAll(/[^a-z]+/gi, '-'), file ?? `src/line-${line}.ts`);
}

/** As the applications that the Nest CLI makes: with the globals of the test runner. */
const GLOBALS = 'vitest/globals';

/** What the compiler says of them, in one program, with the compiler options of the repository. */
export function typeErrors(blocks: readonly CodeBlock[]): readonly string[] {
  const config = ts.readConfigFile(`${ROOT}tsconfig.json`, (path) => ts.sys.readFile(path));
  const parsed = ts.parseJsonConfigFileContent(config.config, { ...ts.sys, readDirectory: () => [] }, ROOT);
  const options: ts.CompilerOptions = { ...parsed.options, types: [...(parsed.options.types ?? []), GLOBALS] };
  const files = new Map(blocks.map((block) => [`${ROOT}test/docs/${pathOf(block)}`, block]));
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => files.has(path) || fileExists(path);
  // Resolution looks into no folder that is not there.
  host.directoryExists = (path) =>
    [...files.keys()].some((file) => file.startsWith(`${path}/`)) || ts.sys.directoryExists(path);
  host.readFile = (path) => readFile(path);
  host.getSourceFile = (path, languageVersion, ...rest) => {
    const block = files.get(path);
    return block
      ? ts.createSourceFile(path, `${block.code}\nexport {};\n`, languageVersion)
      : getSourceFile(path, languageVersion, ...rest);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  return [...files].flatMap(([path, { where }]) => {
    const file = program.getSourceFile(path);
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
      ({ messageText, start = 0 }) =>
        `${where}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}\n  at ${file?.text.slice(start, start + 60)}`,
    );
  });
}

/**
 * `npm run build:page`: builds what the admin page sends to the browser into one module, so that the package has no files to find at run
 * time, in whichever module format and bundle it ends up.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const FROM = fileURLToPath(new URL('../lib/admin/page/src/', import.meta.url));
const TO = fileURLToPath(new URL('../lib/admin/page/assets.ts', import.meta.url));

const types: Readonly<Record<string, string>> = {
  'page.js': 'text/javascript; charset=utf-8',
  'page.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
};

/** The text of the module. */
export async function builtPage(): Promise<string> {
  const result = await build({
    configFile: false,
    root: FROM,
    logLevel: 'warn',
    build: {
      write: false,
      modulePreload: false,
      cssMinify: true,
      rolldownOptions: {
        input: [`${FROM}page.ts`, `${FROM}page.css`],
        output: { entryFileNames: '[name].js', assetFileNames: '[name][extname]' },
      },
    },
  });
  if (!('output' in result)) throw new Error('One build was expected.');
  const built = new Map<string, string>([['icon.svg', readFileSync(`${FROM}icon.svg`, 'utf8')]]);
  for (const file of result.output) {
    if (file.type === 'chunk') built.set(file.fileName, file.code);
    else built.set(file.fileName, String(file.source));
  }
  const assets = Object.entries(types).map(([name, type]) => {
    const body = built.get(name);
    if (body === undefined) throw new Error(`The build has no ${name}: ${[...built.keys()].join(', ')}.`);
    return `  { name: ${JSON.stringify(name)}, type: ${JSON.stringify(type)}, body: ${JSON.stringify(body.trim())} },`;
  });
  return [
    '// Made by `npm run build:page` from src/. Change that, and make it again.',
    '',
    '/** What the page refers to. */',
    'export const assets: readonly { readonly name: string; readonly type: string; readonly body: string }[] = [',
    ...assets,
    '];',
    '',
  ].join('\n');
}

export const currentPage = (): string => readFileSync(TO, 'utf8');

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(TO, await builtPage());

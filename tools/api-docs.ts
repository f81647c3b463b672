/**
 * `npm run docs:api`: the API reference, made from the docstrings into `docs/api`, one page for each subpath of the package. It is not
 * committed, so that it is never older than the code. With `--check` it is only tried.
 */
import { join } from 'node:path';
import { Application, LogLevel, type TypeDocOptions } from 'typedoc';
import type { PluginOptions } from 'typedoc-plugin-markdown';
import { packageEntries, ROOT } from './package-entries.js';

const options: Partial<TypeDocOptions & PluginOptions> = {
  name: 'nestjs-distributed-lock',
  entryPoints: packageEntries().map(({ source }) => join(ROOT, 'lib', `${source}.ts`)),
  tsconfig: join(ROOT, 'tsconfig.json'),
  plugin: ['typedoc-plugin-markdown'],
  readme: 'none',
  out: join(ROOT, 'docs/api'),
  router: 'module',
  hideBreadcrumbs: true,
  hidePageHeader: true,
  disableSources: true,
  excludeExternals: true,
  excludeInternal: true,
  excludePrivate: true,
  // Names that a type mentions and no subpath exports are explained where they are used.
  validation: { invalidLink: true, notExported: false, notDocumented: false },
  logLevel: LogLevel.Warn,
};

const app = await Application.bootstrapWithPlugins(options);
const project = await app.convert();
if (project === undefined) process.exit(1);
// By the names that users import, not by files.
for (const page of project.children ?? []) {
  const entry = packageEntries().find(({ source }) => [page.name, `${page.name}/index`].includes(source));
  if (entry !== undefined) page.name = entry.name;
}
app.validate(project);
if (!process.argv.includes('--check')) await app.generateOutputs(project);
if (app.logger.hasErrors()) process.exit(1);

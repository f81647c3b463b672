/**
 * `npm run check:api`: compares what each subpath of the built package exports with the reports in `api/`, so that a review shows every
 * change of a public type. `npm run check:api -- --update` writes the reports anew.
 */
import { mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor';
import { packageEntries, ROOT } from './package-entries.js';

const update = process.argv.includes('--update');
const reports = join(ROOT, 'api');
// Of no interest: tags that we do not use, and names that types reach although no subpath exports them.
const silent = { default: { logLevel: ExtractorLogLevel.None } };

mkdirSync(reports, { recursive: true });
mkdirSync(join(ROOT, 'node_modules/.cache/api'), { recursive: true });
const changed = packageEntries().flatMap(({ name, source }) => {
  const types = join(ROOT, 'dist/cjs', `${source}.d.ts`);
  const configObject = {
    projectFolder: ROOT,
    mainEntryPointFilePath: types,
    newlineKind: 'lf' as const,
    compiler: {
      overrideTsconfig: {
        extends: join(ROOT, 'tsconfig.json'),
        compilerOptions: { paths: {} },
        include: [],
        files: [types],
      },
    },
    apiReport: {
      enabled: true,
      reportFileName: basename(name),
      reportFolder: reports,
      reportTempFolder: join(ROOT, 'node_modules/.cache/api'),
      includeForgottenExports: true,
    },
    docModel: { enabled: false },
    dtsRollup: { enabled: false },
    tsdocMetadata: { enabled: false },
    messages: {
      extractorMessageReporting: silent,
      tsdocMessageReporting: silent,
      compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Error } },
    },
  };
  const config = ExtractorConfig.prepare({
    configObject,
    configObjectFullPath: undefined,
    packageJsonFullPath: join(ROOT, 'package.json'),
  });
  const { apiReportChanged, errorCount } = Extractor.invoke(config, {
    localBuild: update,
    messageCallback: (message) => (message.handled = message.logLevel !== ExtractorLogLevel.Error),
  });
  return apiReportChanged || errorCount > 0 ? [basename(name)] : [];
});

if (update || changed.length === 0) {
  process.stdout.write(`${changed.length} reports in api/ changed\n`);
} else {
  process.stderr.write(
    `The public types of ${changed.join(', ')} differ from the reports in api/. If that is meant, run \`npm run check:api -- --update\` and commit them.\n`,
  );
  process.exitCode = 1;
}

#!/usr/bin/env node
import { run } from './run.js';

// No `await` at the top: this is built as CommonJS as well.
void run(process.argv.slice(2)).then(({ code, out, err }) => {
  process.stdout.write(out);
  process.stderr.write(err);
  process.exitCode = code;
});

#!/usr/bin/env node
import { createInterface } from 'node:readline/promises';
import { run } from './run.js';

/** Asks on stderr, so that stdout has the result alone. Only `y` and `yes` are a yes: an empty line, another word and the end of the input are none. */
async function ask(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const ended = new AbortController();
  // The question itself is the last line; a prompt of several would be drawn anew at each key.
  const at = question.lastIndexOf('\n') + 1;
  process.stderr.write(question.slice(0, at));
  lines.once('close', () => ended.abort());
  try {
    return /^y(es)?$/i.test((await lines.question(question.slice(at), { signal: ended.signal })).trim());
  } catch {
    return false;
  } finally {
    lines.close();
  }
}

const written = (stream: NodeJS.WriteStream, text: string): Promise<void> =>
  new Promise((resolve) => stream.write(text, () => resolve()));

// No `await` at the top: this is built as CommonJS as well.
void run(process.argv.slice(2), { env: process.env, ...(process.stdin.isTTY && { ask }) }).then(
  async ({ code, out, err }) => {
    await Promise.all([written(process.stdout, out), written(process.stderr, err)]);
    // A client that cannot reach its server may go on to try for ever.
    process.exit(code);
  },
);

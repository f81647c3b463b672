import { randomBytes } from 'node:crypto';
import type { Row } from './client.js';
import { Listener, type Open } from './listener.js';
import type { Names } from './schema/index.js';

type Ask = (sql: string) => Promise<readonly Row[]>;

/** What an operator should know although locks work. */
export async function warnings(ask: Ask, open: Open, names: Names): Promise<readonly string[]> {
  const [deaf, [[flush] = []]] = await Promise.all([
    whyDeaf(ask, open, names),
    ask('select @@innodb_flush_log_at_trx_commit').catch(() => []),
  ]);
  const found: string[] = [];
  if (deaf) {
    found.push(
      `Waiters ask again and again, because the server cannot wake this process: ${deaf.message}. ` +
        'Two connections beside the pool have to reach the same server, past any proxy; see `listenUri`.',
    );
  }
  if (flush !== undefined && flush !== '1') {
    found.push(
      `\`innodb_flush_log_at_trx_commit\` is ${flush}: a crash of the server can lose locks that were given out. Set it to 1.`,
    );
  }
  return found;
}

/** Listens for a moment as a process that waits does. */
function whyDeaf(ask: Ask, open: Open, names: Names): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const end = (refusal?: Error): void => {
      listener.close();
      resolve(refusal);
    };
    const listener = new Listener(`boot-${randomBytes(9).toString('base64url')}`, names, open, ask, {
      received: () => undefined,
      up: () => end(),
      down: (refusal) => end(refusal),
    });
    listener.start();
  });
}

import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import { type IoredisConnection, ioredisLink, makeQuiet } from '../../lib/backends/redis/ioredis.js';
import { isRefusal } from '../../lib/backends/redis/link.js';
import { protocol } from '../../lib/backends/redis/protocol/index.js';

/** A connection that breaks under every command, which ioredis says in its own way. */
class Breaking extends EventEmitter {
  eval = (): Promise<never> =>
    Promise.reject(Object.assign(new Error('Reached the max retries'), { name: 'MaxRetriesPerRequestError' }));
}

it('a refusal that kept the connection from standing explains what waited for it, and nothing that breaks off later', async () => {
  const connection = new Breaking() as unknown as IoredisConnection & EventEmitter;
  const link = ioredisLink(connection, () => undefined, makeQuiet(connection));
  const run = (): Promise<unknown> => link.run(protocol(0).attempt, [], []).catch((error: unknown) => error);
  connection.emit('error', new Error('WRONGPASS invalid username-password pair'));
  expect(isRefusal(await run())).toBe(true);
  connection.emit('ready');
  expect(await run()).toMatchObject({ message: 'Reached the max retries' });
});

import type { ListQuery } from '../backend.js';
import type { LinePage } from '../line/driver.js';
import { type ConsulPlace, type Entry, inUrl } from './layout.js';
import type { Server } from './session.js';

/** The line of a key, with whoever else is in the way in front of it. */
type Completed = (key: string, line: readonly ConsulPlace[], entries: readonly Entry[]) => readonly ConsulPlace[];

/** Consul lists names without a limit, so a page bounds the lines that are read, and not the names. */
export async function lines(
  { client, layout, reads }: Pick<Server, 'client' | 'layout' | 'reads'>,
  { prefix, limit, cursor = '' }: ListQuery,
  completed: Completed,
): Promise<LinePage<ConsulPlace>> {
  const { status, text } = await client.ask(
    () => ({
      method: 'GET',
      path: `/kv/${inUrl(layout.prefix(prefix))}`,
      query: { keys: '', separator: '/', consistent: '' },
    }),
    [200, 404],
  );
  const folders = (status === 200 ? (JSON.parse(text) as readonly string[]) : [])
    .filter((folder) => folder > cursor && folder.endsWith('/') && layout.keyOf(folder) !== undefined)
    .sort();
  const page = folders.slice(0, limit);
  const found = await Promise.all(
    page.map(async (folder) => {
      const key = layout.keyOf(folder) ?? '';
      const outcome = await reads.run({ key, build: () => [{ Verb: 'get-tree', Key: folder }] });
      if (!outcome.done) return { key, line: [] };
      return { key, line: completed(key, layout.line(key, outcome.entries), outcome.entries) };
    }),
  );
  const last = page.at(-1);
  return { lines: found, ...(last !== undefined && folders.length > limit && { cursor: last }) };
}

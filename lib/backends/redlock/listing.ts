import type { KeyState, ListPage, ListQuery } from '../backend.js';
import type { Node } from './node.js';

/**
 * A page of keys: those of one server after another, each with what all servers say of it. A key is told of by the first server that has it;
 * one that does not answer is passed over, for whatever a majority has, others have as well.
 */
export async function listPage(
  { cursor = '0 ', ...query }: ListQuery,
  nodes: readonly Node[],
  inspect: (key: string) => Promise<KeyState>,
): Promise<ListPage> {
  const at = cursor.indexOf(' ');
  const [which, within] = [Number(cursor.slice(0, at)), cursor.slice(at + 1)];
  const node = nodes[which];
  if (!node) return { keys: [] };
  const page = await node
    .ask(async () => node.backend.list?.({ ...query, ...(within !== '' && { cursor: within }) }))
    .catch(() => undefined);
  const states = await Promise.all((page?.keys ?? []).map(async ({ key }) => ({ key, ...(await inspect(key)) })));
  const told = new Set(nodes.slice(0, which).map(({ name }) => name));
  const keys = states.filter(({ nodes: said = [] }) => {
    const having = said.filter((one) => !('error' in one) && (one.holders.length > 0 || one.waiting > 0));
    return having.length > 0 && !having.some((one) => told.has(one.node));
  });
  if (page?.cursor !== undefined) return { keys, cursor: `${which} ${page.cursor}` };
  return which + 1 < nodes.length ? { keys, cursor: `${which + 1} ` } : { keys };
}

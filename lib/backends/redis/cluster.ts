import { ClusterInbox } from './cluster-inbox.js';
import { ClusterMap, type IoredisCluster, type Stranger } from './cluster-map.js';
import type { Node } from './cluster-node.js';
import { offers, type RedisLink } from './link.js';
import { KEYS_OF_A_LOCK, type Script } from './protocol/index.js';
import { isTryAgain, wordOf } from './refusals.js';
import { slotOf } from './slots.js';

export const isIoredisCluster = (client: unknown): client is IoredisCluster =>
  offers(client, 'nodes', 'refreshSlotsCache');

/** A cluster client of ours: it looks for its nodes quickly and for ever. */
export const ownCluster = {
  lazyConnect: true,
  clusterRetryStrategy: (attempt: number): number => Math.min(attempt * 50, 500),
  slotsRefreshTimeout: 500,
};

interface OwnCluster extends IoredisCluster {
  on(event: 'refresh', listener: () => void): unknown;
  on(event: '+node', listener: (node: OwnNode) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  connect(): Promise<unknown>;
  disconnect(): void;
}

interface OwnNode {
  readonly stream?: { unref?(): unknown } | undefined;
  on(event: 'connect', listener: () => void): unknown;
}

/** Idle connections do not keep the process alive; errors are what the questions' promises are for. */
export function connectCluster(cluster: OwnCluster): RedisLink {
  cluster.on('error', () => undefined);
  cluster.on('+node', (node) => node.on('connect', () => node.stream?.unref?.()));
  cluster.connect().catch(() => undefined);
  return ioredisClusterLink(cluster, () => cluster.disconnect());
}

/** How often one question may be sent on to another node. */
const MAX_REDIRECTIONS = 5;

/**
 * Scripts go straight to the master of their slot, each at most once unless that node says it did not run them: an answer that
 * was lost with the connection is not asked for again behind the engine's back, as the cluster client itself would do.
 */
export function ioredisClusterLink(cluster: IoredisCluster, closeClient: () => void): RedisLink {
  const map = new ClusterMap(cluster);
  const inbox = new ClusterInbox(map);

  /** @param ask asks the slot's master; `askThere` a node that the slot is on its way to */
  async function route(
    keys: readonly string[],
    ask: (node: Node, keys: readonly string[]) => Promise<unknown>,
    askThere: (node: Node | Stranger, keys: readonly string[]) => Promise<unknown>,
  ): Promise<unknown> {
    const slot = slotOf(map.keyPrefix + keys[0]);
    let node = map.node(map.masterOf(slot)) ?? (await map.find(slot));
    if (node.silent) void map.refresh();
    let there: Node | Stranger | undefined;
    for (let redirections = 0; ; redirections++) {
      const { keyPrefix } = there ?? node;
      const named = keyPrefix ? keys.map((key) => keyPrefix + key) : keys;
      const target = node;
      try {
        if (there) return await askThere(there, named);
        return await target.ask(() => ask(target, named));
      } catch (error) {
        const { verb, address } = redirection(error);
        if (verb === undefined || address === undefined) {
          // The connection broke, or the node has no majority: who has the slot now?
          if (!isAnswer(error)) void map.refresh();
          throw error;
        }
        if (redirections === MAX_REDIRECTIONS) throw error;
        there = undefined;
        if (verb === 'ASK') {
          there = map.nodeAt(address) ?? map.stranger(address);
          if (!there) throw error;
          continue;
        }
        // After a failover the whole map has changed, after a migration one slot of it.
        await map.refresh();
        const next = map.node(map.masterOf(slot)) ?? map.nodeAt(address);
        if (!next) throw error;
        node = next;
      }
    }
  }

  return {
    async run(script, keys, args) {
      const run = (script: Script, keys: readonly string[]): Promise<unknown> =>
        route(
          keys,
          (node, keys) => node.run(script, keys, args),
          (node, keys) => node.asking(script, keys, args),
        );
      try {
        return await run(script, keys);
      } catch (error) {
        const { narrow } = script;
        // Several locks are asked for one by one by whoever can tell their arguments apart.
        if (narrow && isTryAgain(error) && keys.length <= KEYS_OF_A_LOCK) return run(narrow, keys.slice(0, 1));
        throw error;
      }
    },
    onReplicas: (replicas) => (script, keys, args) =>
      route(
        keys,
        (node, keys) => node.replicated(replicas)(script, keys, args),
        async () => {
          throw new Error('the slot is on its way to another node, whose replicas cannot be waited for yet');
        },
      ),
    async call(...words) {
      if (cluster.slots.length === 0) await map.ping();
      const [any] = map.masters();
      if (words[0] === 'PING' || !any) return map.ping();
      return any.call(...words);
    },
    async masters() {
      if (cluster.slots.length === 0) await map.ping();
      return map.masters().map(
        (node) =>
          (...words: readonly string[]) =>
            node.call(...words),
      );
    },
    get keyPrefix() {
      return map.keyPrefix;
    },
    listen: (channel, on) => inbox.listen(channel, on),
    slotOf: (key) => slotOf(map.keyPrefix + key),
    nodeOf: (key) => map.masterOf(slotOf(map.keyPrefix + key)),
    async close() {
      inbox.close();
      map.close();
      closeClient();
    },
  };
}

function redirection(error: unknown): { readonly verb?: 'MOVED' | 'ASK'; readonly address?: string } {
  const [, verb, address] = (error instanceof Error && /^(MOVED|ASK) \d+ (\S+)/.exec(error.message)) || [];
  return verb === 'MOVED' || verb === 'ASK' ? { verb, ...(address && { address }) } : {};
}

/** The node ran the script, or refused it for a reason that another node would have as well. */
function isAnswer(error: unknown): boolean {
  const word = wordOf(error);
  return word !== undefined && !/^(CLUSTERDOWN|READONLY|MASTERDOWN|LOADING)$/.test(word);
}

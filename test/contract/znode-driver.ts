import {
  type Claim,
  type ListQuery,
  type LockMode,
  type Session,
  SessionEndedError,
  type Traits,
} from '../../lib/backends/backend.js';
import type { JoinHints, LineDriver, LinePage, ObstacleListener, Place, View } from '../../lib/backends/line/driver.js';
import { NoSessionError, type Znode, type ZnodeSession, type ZnodeTree } from './znode-tree.js';

/** The node `<owner>!<mode>!<limit>!<number>`; a name never changes, so a downgrade is told by the data. */
interface ZnodePlace extends Place {
  readonly name: string;
  readonly sequence: number;
  readonly node: Znode;
}

class TreeSession implements Session {
  readonly id: string;
  readonly ttl: number;

  constructor(
    private readonly tree: ZnodeTree,
    readonly session: ZnodeSession,
  ) {
    this.id = session.id;
    this.ttl = session.ttl;
  }

  renew(): Promise<boolean> {
    return this.tree.ask(() => this.tree.touch(this.session));
  }

  attached(): Promise<readonly Pick<Claim, 'key' | 'owner'>[]> {
    return this.tree.ask(() =>
      this.tree.ephemerals(this.session).map(({ folder, name }) => ({ key: folder, owner: ownerOf(name) })),
    );
  }

  end(): Promise<void> {
    return this.tree.ask(() => this.tree.end(this.session));
  }
}

const traits = {
  fencing: true,
  fifo: true,
  modes: ['exclusive', 'shared'],
  semaphores: true,
  minTtl: 10,
  survivesFailover: false,
} as const satisfies Traits;

const CLOSING = 'closing';

/** The line recipe as ZooKeeper has it: places are ephemeral sequential nodes, and a watch fires once. */
export class ZnodeDriver implements LineDriver<ZnodePlace, TreeSession> {
  readonly kind = 'znodes';
  readonly traits: Traits = traits;
  #closed = false;

  constructor(private readonly tree: ZnodeTree) {}

  async ping(): Promise<void> {}

  async close(): Promise<void> {
    this.#closed = true;
  }

  open(ttl: number): Promise<TreeSession> {
    return this.tree.ask(() => new TreeSession(this.tree, this.tree.open(ttl)));
  }

  join(claim: Claim, session: TreeSession, { again }: JoinHints): Promise<View<ZnodePlace>> {
    return this.#in(session, () => {
      const earlier = again ? this.#find(claim, session) : undefined;
      if (!earlier) this.tree.create(claim.key, `${claim.owner}!${claim.mode}!${claim.limit}!`, '', session.session);
      return this.#viewOf(claim, session);
    });
  }

  view(claim: Claim, _place: ZnodePlace, session: TreeSession): Promise<View<ZnodePlace>> {
    return this.#in(session, () => this.#viewOf(claim, session));
  }

  leave(claim: Claim, place: ZnodePlace | undefined, session: TreeSession): Promise<boolean> {
    return this.#in(session, () => {
      const name = place?.name ?? this.#find(claim, session)?.name;
      return name !== undefined && this.tree.delete(claim.key, name);
    });
  }

  confirm(claim: Claim, place: ZnodePlace, session: TreeSession, stir: boolean): Promise<boolean> {
    return this.#in(session, () => {
      const node = this.tree.get(claim.key, place.name);
      return node !== undefined && (!stir || this.tree.set(claim.key, place.name, node.data));
    });
  }

  watch(
    key: string,
    obstacles: readonly ZnodePlace[],
    _session: TreeSession,
    listener: ObstacleListener<ZnodePlace>,
  ): () => void {
    let over = false;
    /** What was last read of each obstacle. */
    const known = new Map<ZnodePlace, string>();
    /** Reads the obstacle, and hears of its next change. */
    const read = async (obstacle: ZnodePlace): Promise<void> => {
      const [node, at] = await this.tree.ask(
        () => [this.tree.get(key, obstacle.name, () => void read(obstacle)), this.tree.zxid] as const,
      );
      if (over || this.#closed) return;
      const before = known.get(obstacle);
      if (node) known.set(obstacle, node.data);
      // Gone after it was read as a plain place: certain. Before that it may have gone at any time, or been kept closed.
      if (!node && before !== undefined && before !== CLOSING) listener.changed(obstacle, undefined, at);
      else if (!node) listener.missed();
      else if (node.data === 'shared') listener.changed(obstacle, { ...obstacle, mode: 'shared' }, at);
      else if (before === undefined) listener.missed(node.mzxid);
      else if (node.data !== CLOSING) listener.changed(obstacle, obstacle, at);
    };
    for (const obstacle of obstacles) void read(obstacle);
    return () => {
      over = true;
    };
  }

  everybody(key: string): Promise<readonly ZnodePlace[]> {
    return this.tree.ask(() => this.#line(key).map((place) => ({ ...place, mode: modeOf(place) })));
  }

  async remainingMs(places: readonly ZnodePlace[]): Promise<readonly number[]> {
    return places.map(({ node }) => (node.session?.ends ?? Infinity) - performance.now());
  }

  evict(key: string, places: readonly ZnodePlace[]): Promise<void> {
    return this.tree.ask(() => places.forEach(({ name }) => this.tree.delete(key, name)));
  }

  lines({ prefix, limit, cursor }: ListQuery): Promise<LinePage<ZnodePlace>> {
    return this.tree.ask(() => {
      const keys = this.tree.folders.filter((key) => key.startsWith(prefix) && (!cursor || key > cursor)).sort();
      const page = keys.slice(0, limit);
      const lines = page.map((key) => ({ key, line: this.#line(key) }));
      const last = page.at(-1);
      return last !== undefined && keys.length > limit ? { lines, cursor: last } : { lines };
    });
  }

  keepClosed(claim: Claim, place: ZnodePlace | undefined, session: TreeSession, ms: number): Promise<boolean> {
    return this.#in(session, () => {
      const name = place?.name ?? this.#find(claim, session)?.name;
      // Told first, so that a waiter does not take the end of the node for the end of the lock.
      if (name === undefined || !this.tree.set(claim.key, name, CLOSING)) return false;
      return this.tree.replace(claim.key, name, `kept!exclusive!${claim.limit}!`, ms) !== undefined;
    });
  }

  downgrade(claim: Claim, place: ZnodePlace | undefined, session: TreeSession): Promise<boolean> {
    return this.#in(session, () => place !== undefined && this.tree.set(claim.key, place.name, 'shared'));
  }

  async #in<T>(session: TreeSession, question: () => T): Promise<T> {
    try {
      return await this.tree.ask(() => {
        if (!session.session.alive) throw new NoSessionError();
        return question();
      });
    } catch (error) {
      throw error instanceof NoSessionError ? new SessionEndedError(session) : error;
    }
  }

  #viewOf(claim: Claim, session: TreeSession): View<ZnodePlace> {
    const line = this.#line(claim.key);
    const index = line.findIndex(({ owner, node }) => owner === claim.owner && node.session === session.session);
    return { at: this.tree.zxid, own: line[index], ahead: index < 0 ? line : line.slice(0, index) };
  }

  #line(key: string): ZnodePlace[] {
    return this.tree
      .children(key)
      .map(placeOf)
      .sort((one, other) => one.sequence - other.sequence);
  }

  #find({ key, owner }: Claim, { session }: TreeSession): Znode | undefined {
    return this.tree.children(key).find((node) => node.session === session && ownerOf(node.name) === owner);
  }
}

const ownerOf = (name: string): string => name.slice(0, name.indexOf('!'));

function placeOf(node: Znode): ZnodePlace {
  const [owner = '', mode, limit] = node.name.split('!');
  const { name, sequence } = node;
  return {
    ...{ owner, name, sequence, node },
    mode: mode as LockMode,
    limit: Number(limit),
    token: BigInt(node.czxid),
  };
}

const modeOf = ({ mode, node }: ZnodePlace): LockMode => (node.data === 'shared' ? 'shared' : mode);

import type { Claim } from '../backend.js';
import type { View } from '../line/driver.js';
import { type Answer, is } from './client/index.js';
import * as requests from './client/requests.js';
import type { Folders } from './folders.js';
import type { KeptPlaces } from './kept-places.js';
import type { Layout, ZooKeeperPlace } from './layout.js';
import { placesIn } from './line.js';
import type { ZooKeeperSession } from './session.js';

/** How often the node of a key is made anew for one claim: servers remove those that are empty. */
export const ROUNDS = 5;

/** Written into a node before another one takes its place: then its deletion does not mean that the place is free. */
export const CLOSING = 'closing';

/** A node as another one that takes its place. */
interface Successor {
  readonly name: string;
  readonly mode: 'persistent' | 'ephemeral';
}

/** How lines look on the server: reads them, and moves places between nodes. */
export class Nodes {
  constructor(
    private readonly layout: Layout,
    private readonly folders: Folders,
    private readonly access: requests.Access,
    private readonly kept: KeptPlaces,
  ) {}

  async names(key: string, session: ZooKeeperSession): Promise<Answer<readonly string[]>> {
    try {
      const { value, at } = await session.ask(requests.children(this.folders.of(key)));
      return { value: value.names, at };
    } catch (error) {
      if (!is(error, 'NoNode')) throw error;
      return { value: [], at: session.client.lastZxid };
    }
  }

  async line(
    key: string,
    session: ZooKeeperSession,
  ): Promise<{ readonly line: readonly ZooKeeperPlace[]; readonly at: number }> {
    const { value, at } = await this.names(key, session);
    return { line: placesIn(this.layout, this.folders.of(key), value), at };
  }

  /** How the node of a new place is created. */
  newPlace(claim: Claim, session: ZooKeeperSession): Parameters<typeof requests.create> {
    const path = `${this.folders.of(claim.key)}/${this.layout.prefixOf(claim)}`;
    return [path, 'ephemeral sequential', this.access, dataOf(session)];
  }

  makeFolder(key: string, session: ZooKeeperSession): Promise<void> {
    return this.folders.make(this.folders.of(key), (request) => session.ask(request));
  }

  /** The place of a node that was created by that transaction. */
  placeOf(key: string, path: string, created: bigint | number, ctime?: number): ZooKeeperPlace {
    const folder = this.folders.of(key);
    const [named] = placesIn(this.layout, folder, [path.slice(folder.length + 1)]);
    if (!named || named.limit === 0) throw new Error(`ZooKeeper called a new place ${path}`);
    return { ...named, token: BigInt(created), ...(ctime !== undefined && { ctime }) };
  }

  /** A place of the owner that is there already. One of another session ends with that, so it is given back. */
  async reclaim(place: ZooKeeperPlace, session: ZooKeeperSession): Promise<ZooKeeperPlace | undefined> {
    try {
      const { value } = await session.ask(requests.exists(place.path));
      if (value.ephemeralOwner === session.client.session) {
        return { ...place, token: value.czxid, ctime: value.ctime };
      }
      await session.ask(requests.remove(place.path));
    } catch (error) {
      if (!is(error, 'NoNode')) throw error;
    }
    return undefined;
  }

  /** What the names in a line mean for a claim. */
  async viewOf(
    claim: Claim,
    place: ZooKeeperPlace,
    session: ZooKeeperSession,
    { value, at }: Answer<readonly string[]>,
  ): Promise<View<ZooKeeperPlace>> {
    const folder = this.folders.of(claim.key);
    // Nobody else is there, which is so for most locks.
    if (value.length === 1 && place.path === `${folder}/${value[0]}`) return { at, own: place, ahead: [] };
    const line = placesIn(this.layout, folder, value, place.number);
    const index = line.findIndex(
      ({ path, owner, number }) =>
        // Turned into a reader's it is another node with the same number.
        path === place.path || (owner === claim.owner && number === place.number),
    );
    const found = line[index];
    const before = found ? line.slice(0, index) : line;
    // Of a request without an answer that came late after all. The claim must not wait for itself.
    const late = before.filter(({ owner }) => owner === claim.owner);
    await Promise.all(late.map(({ path }) => isThere(session.ask(requests.remove(path)))));
    const others = late.length > 0 ? before.filter(({ owner }) => owner !== claim.owner) : before;
    const ahead = others.some(({ keptMs }) => keptMs !== undefined)
      ? await this.kept.withoutOver(others, await this.#createdAt(place, session))
      : others;
    return { at, own: found && { ...place, ...found, token: place.token }, ahead };
  }

  async #createdAt({ path, ctime }: ZooKeeperPlace, session: ZooKeeperSession): Promise<number> {
    return ctime ?? (await session.ask(requests.exists(path))).value.ctime;
  }

  /** What has the number of a place now. */
  async successorOf(
    key: string,
    place: ZooKeeperPlace,
    session: ZooKeeperSession,
  ): Promise<{ readonly now: ZooKeeperPlace | undefined; readonly at: number }> {
    const { value, at } = await this.names(key, session);
    const line = placesIn(this.layout, this.folders.of(key), value, place.number);
    const same = place.limit === 0 ? ({ path }: ZooKeeperPlace) => path === place.path : isNumbered(place.number);
    return { now: line.find(same), at };
  }

  /** Removes what the claim has in this session. Resolves to whether there was anything. */
  async removeAll(claim: Claim, session: ZooKeeperSession): Promise<boolean> {
    const paths = await this.ownPaths(claim, session);
    const removed = await Promise.all(paths.map((path) => isThere(session.ask(requests.remove(path)))));
    return removed.includes(true);
  }

  async ownPaths({ key, owner }: Claim, session: ZooKeeperSession): Promise<readonly string[]> {
    const folder = this.folders.of(key);
    const { value } = await session.ask(requests.ephemerals(`${folder}/`));
    return value.filter((path) => this.layout.read(path.slice(folder.length + 1))?.owner === owner);
  }

  /**
   * Gives the place of a claim to another node, in one step. Whoever watches it was told before that its end is not the end of the
   * place. Resolves to that node's place, or to nothing when the claim has none.
   */
  async replace(
    claim: Claim,
    place: ZooKeeperPlace | undefined,
    session: ZooKeeperSession,
    by: (name: string) => Successor,
  ): Promise<ZooKeeperPlace | undefined> {
    const replaced = place && (await this.#replace(claim, place.path, place.token, session, by));
    if (replaced) return replaced;
    const [path] = await this.ownPaths(claim, session);
    return path === undefined ? undefined : this.#replace(claim, path, place?.token, session, by);
  }

  async #replace(
    { key }: Claim,
    path: string,
    token: bigint | undefined,
    session: ZooKeeperSession,
    by: (name: string) => Successor,
  ): Promise<ZooKeeperPlace | undefined> {
    const folder = this.folders.of(key);
    const { name, mode } = by(path.slice(folder.length + 1));
    // Asked again, and the answer was lost the first time: the place has that name, and its data must stay.
    if (path === `${folder}/${name}`) {
      return (await isThere(session.ask(requests.exists(path)))) ? placesIn(this.layout, folder, [name])[0] : undefined;
    }
    const successor = requests.createIn(`${folder}/${name}`, mode, this.access, dataOf(session, token));
    // Both are in one write, and the second is not done when there is nothing to replace.
    const [, moved] = await Promise.allSettled([
      session.ask(requests.set(path, Buffer.from(CLOSING))),
      session.ask(requests.multi(successor, requests.remove(path))),
    ]);
    if (moved.status === 'fulfilled') return placesIn(this.layout, folder, [name])[0];
    // Replaced before, by a question whose answer was lost, or gone.
    if (is(moved.reason, 'NodeExists') || is(moved.reason, 'NoNode')) return undefined;
    throw moved.reason;
  }
}

const isNumbered =
  (wanted: number) =>
  ({ number, limit }: ZooKeeperPlace): boolean =>
    number === wanted && limit > 0;

/** What a place tells of itself besides its name: how long its session is, and the token, where that is not the node's own. */
export const dataOf = ({ ttl }: ZooKeeperSession, token?: bigint): Buffer =>
  Buffer.from(token === undefined ? `ttl=${ttl}` : `ttl=${ttl} token=${token}`);

export function readData(data: Buffer): { readonly sessionMs?: number; readonly token?: bigint } {
  const [, ttl, token] = /^ttl=(\d+)(?: token=(\d+))?$/.exec(data.toString('latin1')) ?? [];
  return { ...(ttl && { sessionMs: Number(ttl) }), ...(token && { token: BigInt(token) }) };
}

/** Whether there was a node to ask for. */
export async function isThere(asked: Promise<unknown>): Promise<boolean> {
  try {
    await asked;
    return true;
  } catch (error) {
    if (is(error, 'NoNode')) return false;
    throw error;
  }
}

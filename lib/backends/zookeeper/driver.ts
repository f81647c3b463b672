import type { Busy, Claim, Conflict, ListQuery, Traits } from '../backend.js';
import type { JoinHints, LineDriver, LinePage, ObstacleListener, View } from '../line/driver.js';
import { holdersIn } from '../line/judge.js';
import { is, ZooKeeperClient } from './client/index.js';
import * as requests from './client/requests.js';
import { Folders } from './folders.js';
import { KeptPlaces } from './kept-places.js';
import type { Layout, ZooKeeperPlace } from './layout.js';
import { placesIn } from './line.js';
import { textOf } from './names.js';
import { dataOf, isThere, Nodes, readData, ROUNDS } from './nodes.js';
import { Observer } from './observer.js';
import { PlaceWatch, type SuccessorOf } from './place-watch.js';
import { ZooKeeperSession } from './session.js';
import { accessOf, type ZooKeeperSettings, zooKeeperTraits } from './settings.js';
import { tryAll } from './try-all.js';

/** What is said of a place of another client, in milliseconds: servers grant no longer sessions unless they are told to. */
const LONGEST_SESSION_MS = 40_000;

type S = ZooKeeperSession;
type P = ZooKeeperPlace;

/**
 * One ZooKeeper ensemble: a node for each key, and below it an ephemeral node for each place, numbered by the server. The name of a
 * place says what it is, so that a line is read in one question; its data is the length of its session.
 */
export class ZooKeeperDriver implements LineDriver<P, S> {
  readonly kind = 'zookeeper';
  readonly traits: Traits;
  readonly address: string;
  readonly #layout: Layout;
  readonly #access: requests.Access;
  readonly #folders: Folders;
  readonly #observer: Observer;
  readonly #kept: KeptPlaces;
  readonly #nodes: Nodes;
  readonly #sessions = new Set<S>();

  constructor(private readonly settings: ZooKeeperSettings) {
    this.#layout = settings.layout;
    this.#access = accessOf(settings);
    this.traits = { ...zooKeeperTraits, ...settings.layout.traits };
    this.address = settings.address;
    this.#folders = new Folders(settings.chroot, this.#access);
    this.#observer = new Observer(settings);
    this.#kept = new KeptPlaces((request) => this.#observer.ask(request));
    this.#nodes = new Nodes(settings.layout, this.#folders, this.#access, this.#kept);
  }

  /** Reads the node that everything is below, so that missing rights are told of at boot. */
  async ping(): Promise<void> {
    await this.#folders.ensureRoot((request) => this.#observer.ask(request));
  }

  async open(ttl: number): Promise<S> {
    const client = new ZooKeeperClient({ ...this.settings, sessionTimeout: Math.ceil(ttl) });
    try {
      await client.ready();
    } catch (error) {
      client.destroy();
      throw error;
    }
    const session = new ZooKeeperSession(
      client,
      (path) => this.#claimAt(path),
      (ended) => this.#sessions.delete(ended),
    );
    this.#sessions.add(session);
    return session;
  }

  async join(claim: Claim, session: S, { again, wanted }: JoinHints): Promise<View<P>> {
    if (again) await this.#nodes.removeAll(claim, session);
    const place = requests.create(...this.#nodes.newPlace(claim, session));
    for (let round = 0; round < ROUNDS && wanted(); round++) {
      // All are in one write, so hardly anybody removes the new node of the key again before the place is in it.
      const [made, created, line] = await Promise.allSettled([
        round > 0 ? this.#nodes.makeFolder(claim.key, session) : undefined,
        session.ask(place),
        this.#nodes.names(claim.key, session),
      ]);
      if (created.status === 'fulfilled') {
        if (line.status === 'rejected') throw line.reason;
        const { path, stat } = created.value.value;
        const own = this.#nodes.placeOf(claim.key, path, stat.czxid, stat.ctime);
        return this.#nodes.viewOf(claim, own, session, line.value);
      }
      if (made.status === 'rejected') throw made.reason;
      if (!is(created.reason, 'NoNode')) throw created.reason;
    }
    throw new Error(`the node of '${claim.key}' was removed ${ROUNDS} times meanwhile, or nobody wants it any more`);
  }

  async view(claim: Claim, place: P, session: S): Promise<View<P>> {
    return this.#nodes.viewOf(claim, place, session, await this.#nodes.names(claim.key, session));
  }

  async leave(claim: Claim, place: P | undefined, session: S): Promise<boolean> {
    if (place && (await isThere(session.ask(requests.remove(place.path))))) return true;
    return this.#nodes.removeAll(claim, session);
  }

  async confirm(claim: Claim, place: P, session: S, stir: boolean): Promise<boolean> {
    const at = (path: string): requests.Request<unknown> =>
      stir ? requests.set(path, dataOf(session)) : requests.exists(path);
    if (await isThere(session.ask(at(place.path)))) return true;
    // A holder that has become a reader has another node.
    const [moved] = await this.#nodes.ownPaths(claim, session);
    return moved !== undefined && isThere(session.ask(at(moved)));
  }

  watch(key: string, obstacles: readonly P[], session: S, listener: ObstacleListener<P>): () => void {
    const successorOf: SuccessorOf = (place) => this.#nodes.successorOf(key, place, session);
    const watches = obstacles.map((place) => new PlaceWatch(place, session, successorOf, listener));
    return () => {
      for (const watch of watches) watch.stop();
    };
  }

  async everybody(key: string): Promise<readonly P[]> {
    const folder = this.#folders.of(key);
    const { value } = await this.#observer.ask(requests.children(folder)).catch(noChildren);
    const line = placesIn(this.#layout, folder, value.names);
    const holders = new Set<P>(holdersIn(line));
    const read = await Promise.all(line.map(async (place) => (holders.has(place) ? this.#inFull(place) : place)));
    return read.filter((place) => place !== undefined);
  }

  async remainingMs(places: readonly P[]): Promise<readonly number[]> {
    return places.map(({ sessionMs, keptMs }) => keptMs ?? sessionMs ?? LONGEST_SESSION_MS);
  }

  async evict(_key: string, places: readonly P[]): Promise<void> {
    await Promise.all(places.map(({ path }) => isThere(this.#observer.ask(requests.remove(path)))));
  }

  async lines({ prefix, limit, cursor = '' }: ListQuery): Promise<LinePage<P>> {
    const { value } = await this.#observer.ask(requests.children(this.settings.chroot || '/')).catch(noChildren);
    const keys = value.names
      .map(textOf)
      .filter((key) => key.startsWith(prefix) && key > cursor)
      .sort();
    const page = keys.slice(0, limit);
    const lines = await Promise.all(page.map(async (key) => ({ key, line: await this.everybody(key) })));
    const found = lines.filter(({ line }) => line.length > 0);
    const last = page.at(-1);
    return keys.length > page.length && last !== undefined ? { lines: found, cursor: last } : { lines: found };
  }

  /** The place goes to a node that hangs from no session, in one step with the end of the own one. */
  async keepClosed(claim: Claim, place: P | undefined, session: S, ms: number): Promise<boolean> {
    const whole = Math.ceil(ms);
    const kept = await this.#nodes.replace(claim, place, session, (name) => ({
      name: this.#layout.keptName?.(name, whole) ?? name,
      mode: 'persistent',
    }));
    if (kept) this.#kept.removeIn(whole, kept);
    return kept !== undefined;
  }

  async downgrade(claim: Claim, place: P | undefined, session: S): Promise<boolean> {
    const [writer, reader] = (['exclusive', 'shared'] as const).map((mode) =>
      this.#layout.prefixOf({ ...claim, mode }),
    );
    const moved = await this.#nodes.replace(claim, place, session, (name) => ({
      name: name.replace(writer ?? '', reader ?? ''),
      mode: 'ephemeral',
    }));
    return moved !== undefined;
  }

  tryAll(claims: readonly Claim[], session: S): Promise<readonly P[] | Busy | Conflict> {
    return tryAll(this.#nodes, claims, session);
  }

  async close(): Promise<void> {
    this.#kept.close();
    for (const session of this.#sessions) session.hangUp();
    await this.#observer.close();
  }

  /** With what only the node itself tells. `undefined` when it is gone. */
  async #inFull(place: P): Promise<P | undefined> {
    try {
      const { value } = await this.#observer.ask(requests.get(place.path));
      return { ...place, token: value.stat.czxid, ...readData(value.data) };
    } catch (error) {
      if (is(error, 'NoNode')) return undefined;
      throw error;
    }
  }

  #claimAt(path: string): Pick<Claim, 'key' | 'owner'> | undefined {
    const { key, name } = this.#folders.split(path) ?? {};
    const place = name === undefined ? undefined : this.#layout.read(name);
    return key === undefined || !place ? undefined : { key, owner: place.owner };
  }
}

function noChildren(error: unknown): { readonly value: { readonly names: readonly string[] } } {
  if (!is(error, 'NoNode')) throw error;
  return { value: { names: [] } };
}

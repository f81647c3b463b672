import type { Claim, ListQuery, Traits } from '../backend.js';
import type { JoinHints, LineDriver, LinePage, ObstacleListener, Unchanged, View, ViewHints } from '../line/driver.js';
import type { ConsulClient } from './client.js';
import { type ConsulPlace, type Entry, inUrl, Layout, valueOf } from './layout.js';
import { ConsulSession, type Server } from './session.js';
import { type Operation, Transactions } from './transactions.js';
import { Watches } from './watches.js';

/** How often a join may meet a guard that was just written again. Each time another join of the session was given up. */
const ROUNDS = 16;

/** The lines of a Consul cluster: the entries of layout.ts, in Consul's own order of changes. */
export class ConsulDriver implements LineDriver<ConsulPlace, ConsulSession> {
  readonly kind = 'consul';
  readonly #server: Server;
  readonly #watches: Watches;
  #nonce = 0;

  constructor(
    private readonly client: ConsulClient,
    root: string,
    readonly traits: Traits,
    readonly address: string,
  ) {
    this.#server = {
      client,
      layout: new Layout(root),
      writes: new Transactions(client, false),
      reads: new Transactions(client, true),
      nonce: () => ++this.#nonce,
    };
    this.#watches = new Watches(client, this.#server.layout);
  }

  /** Does what a lock does, so that a token without the rights is told at boot. */
  async ping(): Promise<void> {
    const session = await ConsulSession.open(this.#server, this.traits.minTtl);
    await session.end();
  }

  async close(): Promise<void> {
    this.#watches.close();
    this.client.close();
  }

  open(ttl: number): Promise<ConsulSession> {
    return ConsulSession.open(this.#server, ttl);
  }

  async join(claim: Claim, session: ConsulSession, { again, wanted }: JoinHints): Promise<View<ConsulPlace>> {
    const { layout, writes } = this.#server;
    const { key } = claim;
    const path = layout.path(claim);
    let taken: ConsulPlace | undefined;
    session.expect(claim);
    for (let round = 0; round < ROUNDS && wanted(); round++) {
      const { guard } = session;
      const build = (resent: boolean): readonly Operation[] => [
        session.checkGuard(),
        // So that the earlier one fails if it comes later still.
        ...(again || resent ? [session.writeGuard()] : []),
        ...(taken ? adopt(taken) : []),
        { Verb: 'lock', Key: path, Value: valueOf(claim, this.#server.nonce()), Session: session.id },
        { Verb: 'get-tree', Key: layout.folder(key) },
      ];
      const outcome = session.learn(await writes.run({ key, build, wanted }));
      if (outcome.done) {
        const line = layout.line(key, outcome.entries);
        const mine = line.findIndex(({ owner }) => owner === claim.owner);
        const own = line[mine];
        if (own) return { at: own.modified, own, ahead: line.slice(0, mine) };
        throw new Error('Consul did not show the place that it gave');
      }
      const failed = [...outcome.failed.keys()];
      if (failed.some(({ Verb, Key }) => Verb === 'check-index' && Key !== path)) {
        if (session.guard === guard) await session.refresh();
      } else {
        // It is in an earlier session of ours, which may end at any moment.
        taken = (await this.everybody(key)).find(({ owner }) => owner === claim.owner);
      }
    }
    throw new Error(wanted() ? `the guard of the session changed ${ROUNDS} times` : 'the join is not wanted any more');
  }

  async view(
    claim: Claim,
    place: ConsulPlace,
    session: ConsulSession,
    { obstacle }: ViewHints<ConsulPlace>,
  ): Promise<View<ConsulPlace> | Unchanged> {
    // A consistent read shows at least what any answer before it showed.
    const { seen } = session;
    if (obstacle) {
      const { path, modified } = obstacle;
      const build = (): readonly Operation[] => [
        session.checkPlace(place.path),
        { Verb: 'check-index', Key: path, Index: modified },
      ];
      if ((await this.#server.reads.run({ key: place.path, build })).done) return { at: seen, unchanged: true };
    }
    const { line, index } = await this.#read(claim.key);
    const at = Math.max(index, seen);
    session.saw(at);
    const mine = line.findIndex(({ owner }) => owner === claim.owner);
    const own = line[mine];
    if (own?.session === session.id && own.created === place.created) return { at, own, ahead: line.slice(0, mine) };
    return { at, own: undefined, ahead: line };
  }

  async leave(claim: Claim, place: ConsulPlace | undefined, session: ConsulSession): Promise<boolean> {
    const { layout, writes } = this.#server;
    const path = layout.path(claim);
    const remove: Operation = { Verb: 'delete', Key: path };
    const first = place ? session.checkPlace(path) : session.writeGuard();
    const outcome = session.learn(await writes.run({ key: claim.key, build: () => [first, remove] }));
    if (!outcome.done && outcome.again) {
      throw new Error('an agent did not answer, and the next one knew of no such place: the first may have removed it');
    }
    session.forget(claim);
    return outcome.done && place !== undefined;
  }

  async confirm(claim: Claim, place: ConsulPlace, session: ConsulSession, stir: boolean): Promise<boolean> {
    const { reads } = this.#server;
    if (stir) return this.#rewrite(claim, session);
    return (await reads.run({ key: place.path, build: () => [session.checkPlace(place.path)] })).done;
  }

  watch(
    key: string,
    obstacles: readonly ConsulPlace[],
    session: ConsulSession,
    listener: ObstacleListener<ConsulPlace>,
  ): () => void {
    return this.#watches.watch(key, obstacles, session.ttl, listener);
  }

  async everybody(key: string): Promise<readonly ConsulPlace[]> {
    return (await this.#read(key)).line;
  }

  /** Consul does not tell how much of a session is left. */
  async remainingMs(places: readonly ConsulPlace[]): Promise<readonly number[]> {
    return places.map(({ ttl }) => ttl);
  }

  async evict(_key: string, places: readonly ConsulPlace[]): Promise<void> {
    const { writes } = this.#server;
    await Promise.all(
      places.map(({ path }) => writes.run({ key: path, build: () => [{ Verb: 'delete', Key: path }] })),
    );
  }

  /** Consul lists names without a limit, so a page bounds the lines that are read, and not the names. */
  async lines({ prefix, limit, cursor = '' }: ListQuery): Promise<LinePage<ConsulPlace>> {
    const { layout, reads } = this.#server;
    const { status, text } = await this.client.ask(
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
    const lines = await Promise.all(
      page.map(async (folder) => {
        const key = layout.keyOf(folder) ?? '';
        const outcome = await reads.run({ key, build: () => [{ Verb: 'get-tree', Key: folder }] });
        return { key, line: outcome.done ? layout.line(key, outcome.entries) : [] };
      }),
    );
    const last = page.at(-1);
    return { lines, ...(last !== undefined && folders.length > limit && { cursor: last }) };
  }

  downgrade(claim: Claim, _place: ConsulPlace | undefined, session: ConsulSession): Promise<boolean> {
    return this.#rewrite({ ...claim, mode: 'shared' }, session);
  }

  /** Writes the place's value anew, which its watchers hear of. */
  async #rewrite(claim: Claim, session: ConsulSession): Promise<boolean> {
    const path = this.#server.layout.path(claim);
    const build = (): readonly Operation[] => [
      session.checkPlace(path),
      { Verb: 'lock', Key: path, Value: valueOf(claim, this.#server.nonce()), Session: session.id },
    ];
    return session.learn(await this.#server.writes.run({ key: claim.key, build })).done;
  }

  async #read(key: string): Promise<{ readonly line: readonly ConsulPlace[]; readonly index: number }> {
    const { layout } = this.#server;
    const { status, index, text } = await this.client.ask(
      () => ({ method: 'GET', path: `/kv/${inUrl(layout.folder(key))}`, query: { recurse: '', consistent: '' } }),
      [200, 404],
    );
    return { line: status === 200 ? layout.line(key, JSON.parse(text) as readonly Entry[]) : [], index };
  }
}

/** The place keeps its order, and comes to hang from nothing. */
const adopt = ({ path, modified, session }: ConsulPlace): readonly Operation[] => [
  { Verb: 'check-index', Key: path, Index: modified },
  ...(session === undefined ? [] : [{ Verb: 'unlock', Key: path, Session: session } as const]),
];

import type { Claim, ListQuery, Traits } from '../backend.js';
import type { JoinHints, LineDriver, LinePage, ObstacleListener, Unchanged, View, ViewHints } from '../line/driver.js';
import type { ConsulClient } from './client.js';
import { type ConsulPlace, type Entry, inUrl, Layout, valueOf } from './layout.js';
import { ConsulSession, type Server } from './session.js';
import { type Operation, Transactions } from './transactions.js';
import { lines } from './lines.js';
import { OfficialLock } from './official-lock.js';
import { read } from './json.js';
import { Watches } from './watches.js';

/** How often a join may meet a guard that was just written again. Each time another join of the session was given up. */
const ROUNDS = 16;

/** The lines of a Consul cluster: the entries of layout.ts, in Consul's own order of changes. */
export class ConsulDriver implements LineDriver<ConsulPlace, ConsulSession> {
  readonly kind = 'consul';
  readonly #server: Server;
  readonly #watches: Watches;
  /** Where `consul lock` stands beside us. */
  readonly #official: OfficialLock | undefined;
  #nonce = 0;

  constructor(
    private readonly client: ConsulClient,
    root: string,
    readonly traits: Traits,
    readonly address: string,
    beside = false,
  ) {
    this.#server = {
      client,
      layout: new Layout(root, beside),
      writes: new Transactions(client, false),
      reads: new Transactions(client, true),
      nonce: () => ++this.#nonce,
    };
    this.#watches = new Watches(client, this.#server.layout);
    this.#official = beside ? new OfficialLock(this.#server) : undefined;
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
    let official = this.#official;
    session.expect(claim);
    for (let round = 0; round < ROUNDS && wanted(); round++) {
      const { guard } = session;
      const build = (resent: boolean): readonly Operation[] => [
        session.checkGuard(),
        // So that the earlier one fails if it comes later still.
        ...(again || resent ? [session.writeGuard()] : []),
        ...(taken ? adopt(taken) : []),
        { Verb: 'lock', Key: path, Value: valueOf(claim, this.#server.nonce()), Session: session.id },
        ...(official?.takeNew(claim, session) ?? []),
        { Verb: 'get-tree', Key: layout.folder(key) },
      ];
      const outcome = session.learn(await writes.run({ key, build, wanted }));
      if (outcome.done) {
        const line = layout.line(key, outcome.entries);
        const mine = line.findIndex(({ owner }) => owner === claim.owner);
        const own = line[mine];
        if (own) {
          const at = own.modified;
          return { at, ...(await this.#passed(claim, session, { own, ahead: line.slice(0, mine) }, outcome.entries)) };
        }
        throw new Error('Consul did not show the place that it gave');
      }
      const failed = [...outcome.failed.keys()];
      if (official && failed.every((operation) => official?.isAbout(key, operation))) {
        // Somebody has it, or had it: what that means is judged once the place is taken.
        official = undefined;
        continue;
      }
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
    // A gate that nobody has opens by itself, and nothing tells when.
    if (obstacle?.session !== undefined) {
      const { path, modified } = obstacle;
      const build = (): readonly Operation[] => [
        session.checkPlace(place.path),
        { Verb: 'check-index', Key: path, Index: modified },
      ];
      if ((await this.#server.reads.run({ key: place.path, build })).done) return { at: seen, unchanged: true };
    }
    const { line, index, entries } = await this.#read(claim.key);
    const at = Math.max(index, seen);
    session.saw(at);
    const mine = line.findIndex(({ owner }) => owner === claim.owner);
    const own = line[mine];
    const still = own?.session === session.id && own.created === place.created;
    const view = still ? { own, ahead: line.slice(0, mine) } : { own: undefined, ahead: line };
    return { at, ...(await this.#passed(claim, session, view, entries)) };
  }

  async leave(claim: Claim, place: ConsulPlace | undefined, session: ConsulSession): Promise<boolean> {
    const { layout, writes } = this.#server;
    const path = layout.path(claim);
    const remove: Operation = { Verb: 'delete', Key: path };
    const first = place ? session.checkPlace(path) : session.writeGuard();
    const gate = place?.gated ? (this.#official?.giveBack(claim.key, session) ?? []) : [];
    let outcome = session.learn(await writes.run({ key: claim.key, build: () => [first, remove, ...gate] }));
    const whole = outcome.done;
    // Somebody removed one of the two by hand, or nobody knows whether the gate was taken.
    if (!outcome.done && gate.length > 0) {
      outcome = session.learn(await writes.run({ key: claim.key, build: () => [first, remove] }));
    }
    if (!whole || !place) await this.#removeGate(claim.key, [claim.owner]);
    if (!outcome.done && outcome.again) {
      throw new Error('an agent did not answer, and the next one knew of no such place: the first may have removed it');
    }
    session.forget(claim);
    return outcome.done && whole && place !== undefined;
  }

  async confirm(claim: Claim, place: ConsulPlace, session: ConsulSession, stir: boolean): Promise<boolean> {
    const { reads } = this.#server;
    if (stir) return this.#rewrite(claim, session);
    const gate = place.gated ? [session.checkPlace(this.#server.layout.gate(claim.key))] : [];
    return (await reads.run({ key: place.path, build: () => [session.checkPlace(place.path), ...gate] })).done;
  }

  watch(
    key: string,
    obstacles: readonly ConsulPlace[],
    session: ConsulSession,
    listener: ObstacleListener<ConsulPlace>,
  ): () => void {
    // Being foremost is not enough beside `consul lock`, so whoever waits looks again, and takes the gate then.
    const told = this.#official ? { changed: () => listener.missed(), missed: () => listener.missed() } : listener;
    return this.#watches.watch(key, obstacles, session.ttl, told);
  }

  async everybody(key: string): Promise<readonly ConsulPlace[]> {
    const { line, entries } = await this.#read(key);
    return this.#official?.inFront(key, line, entries) ?? line;
  }

  /** Consul does not tell how much of a session is left. */
  async remainingMs(places: readonly ConsulPlace[]): Promise<readonly number[]> {
    return places.map(({ ttl }) => ttl);
  }

  async evict(key: string, places: readonly ConsulPlace[]): Promise<void> {
    const { writes } = this.#server;
    await Promise.all(
      places.map(({ path }) => writes.run({ key: path, build: () => [{ Verb: 'delete', Key: path }] })),
    );
    await this.#removeGate(
      key,
      places.map(({ owner }) => owner),
    );
  }

  lines(query: ListQuery): Promise<LinePage<ConsulPlace>> {
    return lines(this.#server, query, (key, line, entries) => this.#official?.inFront(key, line, entries) ?? line);
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

  async #passed(
    claim: Claim,
    session: ConsulSession,
    view: Pick<View<ConsulPlace>, 'own' | 'ahead'>,
    entries: readonly Entry[],
  ): Promise<Pick<View<ConsulPlace>, 'own' | 'ahead'>> {
    const readAgain = async (): Promise<readonly Entry[]> => (await this.#read(claim.key)).entries;
    return this.#official?.pass(claim, session, view, entries, readAgain) ?? view;
  }

  /** The gate that one of these owners has, and nobody else's. */
  async #removeGate(key: string, owners: readonly string[]): Promise<void> {
    const { entries } = this.#official ? await this.#read(key) : { entries: [] };
    const removal = this.#official?.removal(key, owners, entries) ?? [];
    if (removal.length > 0) await this.#server.writes.run({ key, build: () => removal });
  }

  async #read(
    key: string,
  ): Promise<{ readonly line: readonly ConsulPlace[]; readonly index: number; readonly entries: readonly Entry[] }> {
    const { layout } = this.#server;
    const { status, index, text } = await this.client.ask(
      () => ({ method: 'GET', path: `/kv/${inUrl(layout.folder(key))}`, query: { recurse: '', consistent: '' } }),
      [200, 404],
    );
    const entries = status === 200 ? (read(text) as readonly Entry[]) : [];
    return { line: layout.line(key, entries), index, entries };
  }
}

/** The place keeps its order, and comes to hang from nothing. */
const adopt = ({ path, modified, session }: ConsulPlace): readonly Operation[] => [
  { Verb: 'check-index', Key: path, Index: modified },
  ...(session === undefined ? [] : [{ Verb: 'unlock', Key: path, Session: session } as const]),
];

import type {
  Attempt,
  Busy,
  Claim,
  Conflict,
  Grant,
  HandOver,
  KeyBackend,
  KeyState,
  ListPage,
  ListQuery,
  Traits,
  Waiter,
} from '../backend.js';
import { Crowd } from '../sql/crowd.js';
import { outcomeOf, touchedOf } from './answers.js';
import { MysqlDatabase, type MysqlLink, type MysqlSettings } from './database.js';
import { Inbox, instanceOf } from './inbox.js';
import { inspect, listKeys } from './looking.js';
import { warnings } from './warnings.js';
import type { Routine } from './schema/names.js';
import { list, literal, nameOf, type Value } from './values.js';

export const mysqlTraits = {
  fencing: true,
  fifo: true,
  modes: ['exclusive', 'shared'],
  semaphores: true,
  minTtl: 100,
  // Replication is asynchronous: the lock of a primary that died before its replica had it is gone.
  survivesFailover: false,
} as const satisfies Traits;

/** Renewals that go in one call, under one commit. */
const TOGETHER = 100;
/** Every so many attempts the keys that nobody comes back for are cleared away, so many at a time. */
const SWEEP_EVERY = 256;
const SWEEP_KEYS = 1_000;
/** Without an inbox: how soon to look again, at first and at most, in milliseconds. */
const FIRST_LOOK_MS = 15;
const LONGEST_LOOK_MS = 500;

/** One MariaDB or MySQL server, through procedures that each answer one question in one round trip. */
export class MysqlBackend implements KeyBackend {
  readonly family = 'key';
  readonly kind = 'mysql';
  readonly traits: Traits = mysqlTraits;
  readonly address: string;
  readonly #inbox: Inbox;
  readonly #crowd: Crowd;
  readonly #database: MysqlDatabase;
  #attempts = 0;
  #sweepFrom: string | undefined = '';

  /** @param connect makes the link, when it is first needed */
  constructor(
    private readonly connect: () => Promise<MysqlLink>,
    private readonly settings: MysqlSettings,
  ) {
    this.address = settings.address;
    this.#database = new MysqlDatabase(connect, settings);
    this.#crowd = new Crowd(async (key, owners) =>
      touchedOf(await this.#call('touch', nameOf(key).name, list(owners))),
    );
    this.#inbox = new Inbox(
      settings.names,
      async () => (await this.#database.link()).open,
      (sql) => this.#database.ask(sql),
      this.#crowd,
    );
  }

  forApplication(): KeyBackend {
    return new MysqlBackend(this.connect, this.settings);
  }

  async warnings(): Promise<readonly string[]> {
    const { client, open } = await this.#database.link();
    return warnings((sql) => client.ask(sql), open, this.settings.names);
  }

  async ping(): Promise<void> {
    await this.#database.ask('select 1');
  }

  async attempt(claim: Claim, waiter?: Waiter): Promise<Attempt> {
    if (!waiter) return this.#attempt(claim, 0);
    const instance = instanceOf(claim.owner);
    const again = this.#inbox.expects(claim.owner);
    this.#inbox.expect(claim, waiter);
    if (this.#inbox.hears(instance)) {
      // One that is in line already, far from its head, is heard of together with the others of this process.
      const busy = again ? await this.#crowd.look(claim.key, claim.owner) : undefined;
      return busy ?? this.#attempt(claim, 1);
    }
    const answer = await this.#attempt(claim, 2);
    if (answer.granted || 'limit' in answer) return answer;
    await this.#inbox.settled(instance);
    // Given up meanwhile, it must not join the line again; without an inbox it asks again soon.
    const joins = this.#inbox.expects(claim.owner, waiter) && this.#inbox.hears(instance);
    return joins ? this.#attempt(claim, 1) : answer;
  }

  async attemptAll(claims: readonly Claim[]): Promise<readonly Grant[] | Busy | Conflict> {
    // In one order for everybody, so that no two wait for each other in a circle.
    const ordered = sorted(claims);
    const texts = ordered.flatMap(({ claim, name, whole }) => [
      ...[name, claim.owner, letter(claim), claim.limit, Math.ceil(claim.ttl)],
      whole ?? '',
    ]);
    const answer = await this.#call('attempt_all', list(texts));
    if (!answer.startsWith('1 ')) {
      const { outcome } = outcomeOf(answer);
      if (!outcome.granted) return outcome;
    }
    const [, at, ...tokens] = answer.split(' ');
    const grants = new Map(
      ordered.map(({ claim }, index) => [
        claim,
        { granted: true, fencingToken: BigInt(tokens[index] ?? 0), at: Number(at) / 1000 } as const,
      ]),
    );
    return claims.flatMap((claim) => grants.get(claim) ?? []);
  }

  async renew(claims: readonly Claim[]): Promise<readonly (boolean | undefined)[]> {
    if (claims.length === 0) return [];
    const held = new Map<Claim, boolean>();
    const ordered = sorted(claims);
    const calls: Promise<void>[] = [];
    for (let i = 0; i < ordered.length; i += TOGETHER) {
      const some = ordered.slice(i, i + TOGETHER);
      const texts = some.flatMap(({ claim, name }) => [name, claim.owner, Math.ceil(claim.ttl)]);
      calls.push(
        this.#call('renew', list(texts)).then((answer) =>
          some.forEach(({ claim }, index) => held.set(claim, answer[index] === '1')),
        ),
      );
    }
    const failed = (await Promise.allSettled(calls)).filter((call) => call.status === 'rejected');
    if (failed[0] && failed.length === calls.length) throw failed[0].reason;
    return claims.map((claim) => held.get(claim));
  }

  release(claim: Claim, keepMs = 0): Promise<boolean> {
    return this.handOver.release(claim, [], keepMs);
  }

  async downgrade({ key, owner }: Claim): Promise<boolean> {
    return (await this.#call('downgrade', nameOf(key).name, owner)) === '1';
  }

  readonly handOver: HandOver = {
    takeOver: async ({ key, owner, ttl }, from, fencingToken) => {
      this.#inbox.forget(owner);
      const answer = await this.#call('take_over', nameOf(key).name, owner, Math.ceil(ttl), fencingToken, list(from));
      return answer === '1' ? 'held' : answer === '2' ? 'overtaking' : 'gone';
    },
    release: async ({ key, owner }, from, keepMs = 0) => {
      this.#inbox.forget(owner);
      const answer = await this.#call('release', nameOf(key).name, owner, Math.ceil(keepMs), list(from));
      return answer === '1';
    },
  };

  async forceRelease(key: string): Promise<boolean> {
    const victims = (await this.#call('force', nameOf(key).name)).split(' ').filter(Boolean);
    // Those of this process may have no inbox yet; being told twice does no harm.
    for (const owner of victims) this.#inbox.lost(owner);
    return victims.length > 0;
  }

  inspect(key: string): Promise<KeyState> {
    return inspect((sql) => this.#database.see(sql), this.settings.names, key);
  }

  list(query: ListQuery): Promise<ListPage> {
    return listKeys((sql) => this.#database.see(sql), this.settings.names, query);
  }

  onLost(listener: (owner: string) => void): () => void {
    return this.#inbox.onLost(listener);
  }

  async close(): Promise<void> {
    this.#inbox.close();
    await this.#database.close();
  }

  async #attempt(claim: Claim, joins: 0 | 1 | 2): Promise<Attempt> {
    const { key, owner } = claim;
    const { name, whole } = nameOf(key);
    const [ttl, claimTtl] = [Math.ceil(claim.ttl), Math.ceil(claim.claimTtl)];
    if (++this.#attempts % SWEEP_EVERY === 0) this.#sweep();
    const answer = await this.#call('attempt', name, owner, letter(claim), claim.limit, ttl, claimTtl, joins, whole);
    const { outcome, rank } = outcomeOf(answer);
    if (outcome.granted || 'limit' in outcome) this.#inbox.forget(owner);
    else if (joins === 1) this.#crowd.told(key, owner, outcome, rank > 3);
    else if (joins === 2) return { ...outcome, retryAfterMs: this.#deafLook(outcome, owner, rank) };
    return outcome;
  }

  /** Nothing is pushed: the first in line looks often, at first, and those behind it now and then. */
  #deafLook({ retryAfterMs = LONGEST_LOOK_MS }: Busy, owner: string, rank: number): number {
    const looks = this.#inbox.looked(owner);
    const pause = rank > 0 ? LONGEST_LOOK_MS : Math.min(FIRST_LOOK_MS * 1.5 ** looks, LONGEST_LOOK_MS);
    return Math.min(retryAfterMs, pause);
  }

  #sweep(): void {
    const from = this.#sweepFrom;
    if (from === undefined) return;
    this.#sweepFrom = undefined;
    const sql = `call ${this.settings.names.routine('sweep')}(x'${from}', ${this.settings.counterTtl}, ${SWEEP_KEYS})`;
    this.#database.ask(sql.replace("x''", "''")).then(
      ([row]) => (this.#sweepFrom = row?.[0] ?? ''),
      () => (this.#sweepFrom = from),
    );
  }

  /** The answer of a procedure, which is one text. */
  async #call(routine: Routine, ...args: readonly Value[]): Promise<string> {
    const [row] = await this.#database.ask(
      `call ${this.settings.names.routine(routine)}(${args.map(literal).join(',')})`,
    );
    const answer = row?.[0];
    if (answer === undefined || answer === null)
      throw new TypeError(`MySQL answered a lock procedure with nothing; is a proxy in between?`);
    return answer;
  }
}

const letter = (claim: Claim): 'x' | 's' | 'p' => (claim.limit > 1 ? 'p' : claim.mode === 'shared' ? 's' : 'x');

/** With their names, in the order of these. */
function sorted(claims: readonly Claim[]): readonly ({ readonly claim: Claim } & ReturnType<typeof nameOf>)[] {
  return claims.map((claim) => ({ claim, ...nameOf(claim.key) })).sort((a, b) => Buffer.compare(a.name, b.name));
}

import type {
  Attempt,
  Busy,
  Claim,
  Conflict,
  Grant,
  KeyState,
  ListPage,
  ListQuery,
  Session,
  SessionBackend,
  Traits,
  Waiter,
} from '../backend.js';
import { Contender, type Lines } from './contender.js';
import type { LineDriver, Place } from './driver.js';
import { holdersIn } from './judge.js';
import { ContendedKeys } from './contended-keys.js';

/** How many waiters of a key are told by name. */
const MOST_WAITERS = 100;

/**
 * Locks on a server that keeps a line of places for each key.
 *
 * The algorithm is that of etcd's `concurrency.Mutex` and of Curator's `LockInternals`: take the last place, read the line, watch the
 * one place that is in the way, enter when it goes, and read the own place again afterwards. It differs from Curator's semaphore in
 * that the first waiter watches all holders, and so misses the release of none.
 */
export class LineBackend<P extends Place, S extends Session> implements SessionBackend {
  readonly family = 'session';
  readonly kind: string;
  readonly traits: Traits;
  readonly address?: string;
  readonly patienceMs?: number;
  readonly atOnce?: number;
  readonly perSession?: number;
  readonly attemptAll?: NonNullable<SessionBackend['attemptAll']>;
  readonly downgrade?: NonNullable<SessionBackend['downgrade']>;
  readonly list?: NonNullable<SessionBackend['list']>;
  readonly forApplication?: () => LineBackend<P, S>;
  readonly #contenders = new Map<string, Contender<P, S>>();
  readonly #listeners = new Set<(owner: string) => void>();
  readonly #lines: Lines<P, S>;

  /** @param driverFor makes a driver with connections of its own, when each application is to have one */
  constructor(
    private readonly driver: LineDriver<P, S>,
    driverFor?: () => LineDriver<P, S>,
  ) {
    if (driverFor) this.forApplication = () => new LineBackend(driverFor());
    if (driver.lines) this.list = (query) => this.#list(query);
    this.kind = driver.kind;
    this.traits = driver.traits;
    if (driver.address !== undefined) this.address = driver.address;
    if (driver.patienceMs !== undefined) this.patienceMs = driver.patienceMs;
    if (driver.atOnce !== undefined) this.atOnce = driver.atOnce;
    if (driver.perSession !== undefined) this.perSession = driver.perSession;
    this.#lines = {
      driver,
      contenders: this.#contenders,
      keys: new ContendedKeys(),
      lost: (owner) => {
        for (const listener of this.#listeners) listener(owner);
      },
    };
    if (driver.tryAll) this.attemptAll = (claims, session) => this.#tryAll(claims, this.#ours(session));
    if (driver.downgrade) {
      this.downgrade = async (claim, session) =>
        (await driver.downgrade?.(claim, this.#placeOf(claim), this.#ours(session))) ?? false;
    }
  }

  ping(): Promise<void> {
    return this.driver.ping();
  }

  open(ttl: number): Promise<Session> {
    return this.driver.open(ttl);
  }

  async attempt(claim: Claim, session: Session, waiter?: Waiter): Promise<Attempt> {
    const known = this.#contenders.get(claim.owner);
    if (known && known.session !== session) {
      // Under another session the owner is somebody else, but the server may still have its place.
      known.withdraw();
      return this.#enter(new Contender(claim, this.#ours(session), this.#lines, true), waiter);
    }
    if (known && waiter) known.waiter = waiter;
    if (!known?.place) {
      return this.#enter(known ?? new Contender(claim, this.#ours(session), this.#lines, false), waiter);
    }
    const answer = await known.look(known.place);
    if (answer) return answer;
    known.withdraw();
    return this.#enter(new Contender(claim, this.#ours(session), this.#lines, false), waiter);
  }

  async release(claim: Claim, session: Session, keepMs = 0): Promise<boolean> {
    const contender = this.#contenders.get(claim.owner);
    const [place, held] = [contender?.place, contender?.granted === true];
    contender?.withdraw();
    const there =
      keepMs > 0 && this.driver.keepClosed
        ? await this.driver.keepClosed(claim, place, this.#ours(session), keepMs)
        : await this.driver.leave(claim, place, this.#ours(session));
    return held && there;
  }

  async inspect(key: string): Promise<KeyState> {
    const line = await this.driver.everybody(key);
    const holders = holdersIn(line);
    return stateOf(line, holders, await this.driver.remainingMs(holders));
  }

  async #list(query: ListQuery): Promise<ListPage> {
    const { lines = [], cursor } = (await this.driver.lines?.(query)) ?? {};
    const holders = lines.map(({ line }) => holdersIn(line));
    const remaining = await this.driver.remainingMs(holders.flat());
    let from = 0;
    const keys = lines.map(({ key, line }, index) => {
      const holding = holders[index] ?? [];
      return { key, ...stateOf(line, holding, remaining.slice(from, (from += holding.length))) };
    });
    return cursor === undefined ? { keys } : { keys, cursor };
  }

  async forceRelease(key: string): Promise<boolean> {
    const victims = holdersIn(await this.driver.everybody(key));
    if (victims.length === 0) return false;
    await this.driver.evict(key, victims);
    // The others are told by the server, with their next renewal.
    for (const { owner } of victims) if (this.#contenders.has(owner)) this.#lines.lost(owner);
    return true;
  }

  onLost(listener: (owner: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    for (const contender of this.#contenders.values()) contender.withdraw();
    await this.driver.close();
  }

  /** Lets a claim in, or into the line if it can wait. */
  async #enter(contender: Contender<P, S>, waiter: Waiter | undefined): Promise<Attempt> {
    contender.waiter = waiter;
    if (waiter) return contender.join();
    const { claim, session } = contender;
    if (this.driver.tryAll) {
      // Nothing has a place yet; its grant makes it a contender again.
      contender.withdraw();
      const answer = await this.#tryAll([claim], session);
      if (answer === undefined) throw new Error(`the ${this.kind} driver cannot try one key`);
      if ('granted' in answer) return answer;
      const [grant] = answer;
      if (!grant) throw new Error(`the ${this.kind} driver granted no place`);
      return grant;
    }
    const answer = await contender.join();
    if (answer.granted || 'limit' in answer) return answer;
    contender.withdraw();
    await this.driver.leave(claim, contender.place, session);
    return answer;
  }

  async #tryAll(claims: readonly Claim[], session: S): Promise<readonly Grant[] | Busy | Conflict | undefined> {
    const answer = await this.driver.tryAll?.(claims, session);
    if (answer === undefined || 'granted' in answer) return answer;
    return claims.map((claim, index) => {
      const place = answer[index];
      if (!place) throw new Error(`the ${this.kind} driver granted no place for '${claim.key}'`);
      return new Contender(claim, session, this.#lines, false).hold(place);
    });
  }

  /** Sessions are made by `open` alone. */
  #ours(session: Session): S {
    return session as S;
  }

  #placeOf({ owner }: Claim): P | undefined {
    return this.#contenders.get(owner)?.place;
  }
}

function stateOf(line: readonly Place[], holding: readonly Place[], remainingMs: readonly number[]): KeyState {
  const { mode = 'exclusive', limit = 1 } = holding[0] ?? {};
  const holders = holding.map(({ owner, token }, index) => ({
    owner,
    fencingToken: token,
    remainingMs: remainingMs[index] ?? 0,
  }));
  const behind = line.slice(holding.length);
  const waiters = behind.slice(0, MOST_WAITERS).map(({ owner }) => ({ owner }));
  return { mode, limit, holders, waiting: behind.length, waiters };
}

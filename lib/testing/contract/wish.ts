import type {
  Attempt,
  Busy,
  Claim,
  Conflict,
  Grant,
  HandOver,
  LockBackend,
  Session,
  TakenOver,
  Waiter,
} from '../../backends/backend.js';
import { deferred, sleep } from './patience.js';

/** One process at the port itself, with no engine above it. */
export class Port {
  private count = 0;
  private readonly leftovers: (() => Promise<unknown>)[] = [];

  constructor(
    readonly backend: LockBackend,
    private readonly instance: string,
    private readonly ttl: number,
  ) {}

  /** A wish for a key; in the session family on a session of its own, so that both families can lose one and keep the others. */
  async wish(key: string, options: Partial<Omit<Claim, 'key' | 'owner'>> = {}): Promise<Wish> {
    const ttl = options.ttl ?? this.ttl;
    const claim: Claim = {
      key,
      owner: `${this.instance}:${++this.count}`,
      mode: options.mode ?? 'exclusive',
      limit: options.limit ?? 1,
      ttl,
      claimTtl: options.claimTtl ?? ttl,
    };
    const wish = new Wish(
      this.backend,
      claim,
      this.backend.family === 'session' ? await this.backend.open(ttl) : undefined,
    );
    this.leftovers.push(() => wish.end());
    return wish;
  }

  /** One wish for all of several keys. */
  async wishAll(keys: readonly string[], ttl: number) {
    const { backend } = this;
    const claims = keys.map((key): Claim => {
      const owner = `${this.instance}:${++this.count}`;
      return { key, owner, mode: 'exclusive', limit: 1, ttl, claimTtl: ttl };
    });
    const session = backend.family === 'session' ? await backend.open(ttl) : undefined;
    const attempt = async (): Promise<readonly Grant[] | Busy | Conflict> => {
      const all =
        backend.family === 'session'
          ? await backend.attemptAll?.(claims, over(session))
          : await backend.attemptAll?.(claims);
      if (!all) throw new Error('This backend has no attemptAll.');
      return all;
    };
    const release = (claim: Claim): Promise<boolean> =>
      backend.family === 'session' ? backend.release(claim, over(session)) : backend.release(claim);
    this.leftovers.push(() => (session ? session.end() : Promise.all(claims.map(release))));
    return { claims, attempt, release };
  }

  /** Gives back whatever a test left. */
  async close(): Promise<void> {
    await Promise.allSettled(this.leftovers.map((giveBack) => giveBack()));
    await this.backend.close();
  }
}

/** One claim with the verbs of the port, whichever family answers. */
export class Wish {
  private readonly turn = deferred<Grant>();
  private readonly waiter: Waiter = {
    granted: (grant) => this.turn.resolve(grant),
    look: () => void this.join().catch(() => undefined),
  };

  constructor(
    readonly backend: LockBackend,
    readonly claim: Claim,
    private readonly session: Session | undefined,
  ) {}

  get owner(): string {
    return this.claim.owner;
  }

  /** Asks without standing in line. */
  attempt(): Promise<Attempt> {
    return this.ask();
  }

  /** Asks, and stands in line where there is one. */
  async join(): Promise<Attempt> {
    const answer = await this.ask(this.waiter);
    if (answer.granted) this.turn.resolve(answer);
    return answer;
  }

  /** The grant, by push where the server has a line, and otherwise by asking again. */
  async granted(): Promise<Grant> {
    let waiting = !this.backend.traits.fifo;
    const turn = this.turn.promise.finally(() => (waiting = false));
    while (waiting) {
      await this.join();
      if (waiting) await Promise.race([turn, sleep(50)]);
    }
    return turn;
  }

  /** Whether it is still held, with a full lease from now. */
  async renew(): Promise<boolean> {
    if (this.backend.family === 'session') return over(this.session).renew();
    const [held] = await this.backend.renew([this.claim]);
    return held === true;
  }

  /** @param from who had the key before, in the same process */
  release(keepMs?: number, from: readonly Wish[] = []): Promise<boolean> {
    if (this.backend.family === 'session') return this.backend.release(this.claim, over(this.session), keepMs);
    return from.length === 0
      ? this.backend.release(this.claim, keepMs)
      : this.#handOver().release(this.claim, ownersOf(from), keepMs);
  }

  /** Tells the server that it has the key from these, who are of the same process. */
  async takeOver(from: readonly Wish[], fencingToken: bigint): Promise<TakenOver> {
    return this.#handOver().takeOver(this.claim, ownersOf(from), fencingToken);
  }

  #handOver(): HandOver {
    if (this.backend.family === 'session' || !this.backend.handOver) throw new Error('This backend has no handOver.');
    return this.backend.handOver;
  }

  async downgrade(): Promise<boolean> {
    if (!this.backend.downgrade) throw new Error('This backend has no downgrade.');
    return this.backend.family === 'session'
      ? this.backend.downgrade(this.claim, over(this.session))
      : this.backend.downgrade(this.claim);
  }

  /** Whether the server names this owner among the holders. */
  async holds(): Promise<boolean> {
    const { holders } = await this.backend.inspect(this.claim.key);
    return holders.some((holder) => holder.owner === this.owner);
  }

  /** Whether any server has it still, where a majority of several decides: each ends a lease by its own clock. */
  async isLeft(): Promise<boolean> {
    const { holders, nodes = [] } = await this.backend.inspect(this.claim.key);
    const all = [...holders, ...nodes.flatMap((node) => ('error' in node ? [] : node.holders))];
    return all.some((holder) => holder.owner === this.owner);
  }

  async end(): Promise<void> {
    if (this.session) await this.session.end();
    else await this.release();
  }

  private ask(waiter?: Waiter): Promise<Attempt> {
    return this.backend.family === 'session'
      ? this.backend.attempt(this.claim, over(this.session), waiter)
      : this.backend.attempt(this.claim, waiter);
  }
}

const ownersOf = (wishes: readonly Wish[]): readonly string[] => wishes.map(({ owner }) => owner);

function over(session: Session | undefined): Session {
  if (!session) throw new Error('A session backend without a session: the suite is wrong.');
  return session;
}

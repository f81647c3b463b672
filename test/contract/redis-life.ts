import { TAKES_OVER } from '../../lib/backends/redis/protocol/index.js';
import { Dice } from '../simulation/dice.js';
import type { PinnedRedis, Stored } from './redis-pinned.js';

export interface Call {
  readonly verb: 'attempt' | 'release' | 'renew' | 'takeOver' | 'downgrade' | 'force' | 'attemptAll';
  readonly args: readonly string[];
}

export interface Claim {
  readonly owner: string;
  /** As in the scripts: mode and limit. */
  readonly kind: string;
  readonly ttl: number;
  readonly claimTtl: number;
  readonly joins: boolean;
}

const INSTANCES = ['pod-a', 'pod-b', 'pod-c'];
const KINDS = [['x 1'], ['x 1'], ['x 1', 's 1'], ['p 2'], ['p 2', 'x 1'], ['x 1', 's 1', 'p 2', 'p 3']];
const COUNTER_TTLS = [0, 50, 1_000, 600_000, 600_000];
/** Milliseconds: less than any lease, about one, more than a waiter may be silent, more than a line or a counter lives. */
const PAUSES = [0.001, 0.3, 1, 20, 20, 200, 1_500, 5_000, 16_000, 90_000, 700_000];

/** A world as chance has it. */
export class World {
  readonly dice: Dice;
  readonly counterTtl: number;

  private constructor(
    private readonly redis: PinnedRedis,
    seed: number,
  ) {
    this.dice = new Dice(seed);
    this.counterTtl = this.dice.pick(COUNTER_TTLS);
  }

  static async begin(redis: PinnedRedis, seed: number): Promise<World> {
    const world = new World(redis, seed);
    await redis.clear();
    for (const instance of INSTANCES) if (world.dice.chance(0.8)) await redis.comeOrGo(instance);
    return world;
  }

  /** Time goes on, or not, and now and then a process comes or goes. */
  async goOn(): Promise<void> {
    const { dice, redis } = this;
    if (dice.chance(0.05)) await redis.comeOrGo(dice.pick(INSTANCES));
    if (dice.chance(0.4)) redis.us += Math.floor(dice.pick(PAUSES) * dice.random() * 1_000);
  }
}

/** What processes ask of one lock, at random. */
export class Life {
  readonly #kinds: readonly string[];
  readonly #claims: Claim[] = [];
  #owners = 0;

  constructor(private readonly dice: Dice) {
    this.#kinds = dice.pick(KINDS);
  }

  next({ fields, line, shared }: Stored): Call {
    const { dice } = this;
    const verb = dice.weighted({
      ...{ attempt: 30, askAgain: 10, release: 30, leave: 5, renew: 8 },
      ...{ takeOver: 10, downgrade: 2, force: 1, attemptAll: 2 },
    });
    if (verb === 'force') return { verb, args: [] };
    if (verb === 'takeOver' && fields['o'] !== undefined) return this.#takeOver(fields['o'], fields['t'] ?? '0', line);
    if (verb === 'attempt' || this.#claims.length === 0) return attemptOf(this.#claim());
    if (verb === 'attemptAll') {
      const { owner, kind, ttl } = this.#claim();
      return { verb, args: [owner, ...kind.split(' '), `${ttl}`] };
    }
    const inLine = verb === 'askAgain' || verb === 'leave';
    const likely = this.#claims.filter(({ owner }) =>
      inLine ? line.includes(owner) : fields['o'] === owner || shared.includes(owner),
    );
    const claim = dice.pick(likely.length > 0 && dice.chance(0.9) ? likely : this.#claims);
    if (verb === 'askAgain') return attemptOf(claim);
    if (verb === 'downgrade') return { verb, args: [claim.owner] };
    if (verb === 'renew') return { verb, args: [claim.owner, `${dice.pick([claim.ttl, claim.ttl * 3, 100])}`] };
    if (dice.chance(0.2) && fields['o'] !== undefined) return this.#releaseFor(fields['o'], line);
    return { verb: 'release', args: [claim.owner, ...dice.pick([[], [], [], ['0'], ['700']])] };
  }

  /** What may go together with others. */
  nextTogether(stored: Stored): Call & { readonly verb: 'attempt' | 'release' | 'takeOver' } {
    for (;;) {
      const { verb, args } = this.next(stored);
      if (verb === 'attempt' || verb === 'release' || verb === 'takeOver') return { verb, args };
    }
  }

  /** By one who took the key over from the holder, or from somebody who was in between. */
  #releaseFor(holder: string, line: readonly string[]): Call {
    const [successor = '', , what = ''] = this.#takeOver(holder, '0', line).args;
    return { verb: 'release', args: [successor, this.dice.pick(['0', '700']), what.replace(/^> \d+/, '')] };
  }

  /** Somebody of the holder's instance, who waits or not, with or without others in between. */
  #takeOver(holder: string, token: string, line: readonly string[]): Call {
    const { dice } = this;
    const inside = (owner: string): boolean => owner.startsWith(holder.slice(0, holder.lastIndexOf(':') + 1));
    const waiting = line.filter((owner, index) => index % 2 === 0 && inside(owner));
    const successor = waiting.length > 0 && dice.chance(0.9) ? dice.pick(waiting) : this.#claim().owner;
    const between = waiting.slice(0, waiting.indexOf(successor)).filter(() => dice.chance(0.8));
    const from = dice.chance(0.9) ? [holder, ...between] : between;
    return takeOverOf(successor, dice.pick([100, 5_000, 60_000]), BigInt(token) + BigInt(from.length), from);
  }

  #claim(): Claim {
    const { dice } = this;
    const claim = {
      owner: `${dice.pick(INSTANCES)}:${++this.#owners}`,
      kind: dice.pick(this.#kinds),
      ttl: dice.pick([1, 100, 5_000, 15_000, 60_000]),
      claimTtl: dice.pick([1, 3_000, 3_000, 10_000]),
      joins: dice.chance(0.75),
    };
    this.#claims.push(claim);
    if (this.#claims.length > 24) this.#claims.shift();
    return claim;
  }
}

export const attemptOf = ({ owner, kind, ttl, claimTtl, joins }: Claim): Call => ({
  verb: 'attempt',
  args: [owner, `${ttl}`, `${kind} ${claimTtl} ${joins ? 1 : 0}`],
});

export const takeOverOf = (owner: string, ttl: number, token: bigint, from: readonly string[]): Call => ({
  verb: 'takeOver',
  args: [
    owner,
    `${ttl}`,
    `${TAKES_OVER} ${token}${from.map((one) => ` ${one.slice(one.lastIndexOf(':') + 1)}`).join('')} `,
  ],
});

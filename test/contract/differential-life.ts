import type { Claim, KeyState, LockMode } from '../../lib/backends/backend.js';
import type { Dice } from '../simulation/dice.js';
import type { Table } from './differential-table.js';

/** A claim of one of the processes. */
export interface Asker {
  readonly pod: number;
  readonly claim: Claim;
  /** Whether it joins the line when the key is busy. */
  readonly joins: boolean;
}

/** A question to a backend, in words and as a call. */
export interface Step {
  readonly text: string;
  ask(table: Table): Promise<string>;
}

type Kind = readonly [LockMode, number];

/** What the locks of one life may be: plain ones more often than others, and now and then claims that do not go together. */
const KINDS: readonly (readonly Kind[])[] = [
  [['exclusive', 1]],
  [['exclusive', 1]],
  [
    ['exclusive', 1],
    ['shared', 1],
  ],
  [['exclusive', 2]],
  [
    ['exclusive', 2],
    ['exclusive', 1],
  ],
  [
    ['exclusive', 1],
    ['shared', 1],
    ['exclusive', 2],
    ['exclusive', 3],
  ],
];

/** Longer than any run: time plays no part here. */
const TTL = 120_000;

/** What two processes ask of two keys, as chance has it. The state of the reference makes likely questions likely. */
export class Life {
  readonly keys: readonly string[];
  readonly claims: Asker[] = [];
  readonly #kinds: readonly Kind[];
  #owners = 0;

  /** @param name no other life on the same server has it */
  constructor(
    private readonly dice: Dice,
    private readonly name: string,
    kinds: (kind: Kind) => boolean,
  ) {
    this.keys = ['k', 'l'].map((key) => `{${name}}${key}`);
    this.#kinds = dice.pick(KINDS.filter((some) => some.every(kinds)));
  }

  /** The next question, or `undefined` where chance wanted one for which nobody is there. */
  next(states: readonly KeyState[], can: Table['can']): Step | undefined {
    const { dice } = this;
    const holding = this.#among(states, ({ holders }) => holders);
    const waiting = this.#among(states, ({ waiters = [] }) => waiters);
    const verb = dice.weighted({
      ...{ attempt: 30, again: 10, release: 28, leave: 6, stranger: 3, renew: 6 },
      ...{ downgrade: 4, force: 2, all: 6, takeOver: 10 },
    });
    switch (verb) {
      case 'attempt':
        return attempt(this.#fresh(dice.pick(this.keys), dice.chance(0.8)));
      case 'again':
        return this.#with(dice.chance(0.7) ? waiting : this.claims, attempt);
      case 'release':
        return this.#with(holding, release);
      case 'leave':
        return this.#with(waiting, release);
      case 'stranger':
        return this.#with(this.claims, release);
      case 'renew':
        return can.renew ? this.#with(holding, (asker) => this.#renew(asker)) : undefined;
      case 'downgrade':
        return this.#with(holding, (asker) => this.#downgrade(asker));
      case 'force':
        return force(dice.pick(this.keys));
      case 'all':
        return can.takeAll ? this.#all() : undefined;
      default:
        return can.handOver ? this.#with(holding, (asker) => this.#takeOver(asker, states)) : undefined;
    }
  }

  #with(askers: readonly Asker[], make: (asker: Asker) => Step | undefined): Step | undefined {
    return askers.length > 0 ? make(this.dice.pick(askers)) : undefined;
  }

  /** The claims that the reference knows at these keys. */
  #among(states: readonly KeyState[], where: (state: KeyState) => readonly { readonly owner: string }[]): Asker[] {
    const there = new Set(states.flatMap((state, i) => where(state).map(({ owner }) => `${this.keys[i]} ${owner}`)));
    return this.claims.filter(({ claim }) => there.has(`${claim.key} ${claim.owner}`));
  }

  #fresh(key: string, joins: boolean, pod = this.dice.whole(0, 1), kind?: Kind): Asker {
    const [mode, limit] = kind ?? this.dice.pick(this.#kinds);
    const owner = `pod-${pod}-${this.name}:${++this.#owners}`;
    const asker = { pod, joins, claim: { key, owner, mode, limit, ttl: TTL, claimTtl: TTL } };
    this.claims.push(asker);
    return asker;
  }

  /** A hold, and something else of the same process that may not be one. */
  #renew(asker: Asker): Step {
    const other = this.dice.pick(this.claims.filter(({ pod }) => pod === asker.pod));
    const claims = [asker, other].map(({ claim }) => claim);
    return {
      text: `renew ${nameOf(asker)} ${nameOf(other)}`,
      ask: (table) => table.renew(asker.pod, claims),
    };
  }

  /** Once or again, but only where readers can be: a lock of several has no readers. */
  #downgrade(asker: Asker): Step | undefined {
    const { pod, claim } = asker;
    if (claim.mode !== 'exclusive' || claim.limit > 1 || !this.#kinds.some(([mode]) => mode === 'shared'))
      return undefined;
    return { text: `downgrade ${nameOf(asker)}`, ask: async (table) => String(await table.downgrade(pod, claim)) };
  }

  #all(): Step {
    const [pod, kind] = [this.dice.whole(0, 1), this.dice.pick(this.#kinds)];
    const askers = this.keys.map((key) => this.#fresh(key, false, pod, kind));
    const claims = askers.map(({ claim }) => claim);
    return { text: `all ${askers.map(nameOf).join(' ')}`, ask: (table) => table.attemptAll(pod, claims) };
  }

  /** Somebody of the holder's process, with everybody of it who waits ahead in between. */
  #takeOver(holder: Asker, states: readonly KeyState[]): Step | undefined {
    const { dice } = this;
    const state = states[this.keys.indexOf(holder.claim.key)];
    const exclusive = ({ claim }: Asker): boolean => claim.mode === 'exclusive' && claim.limit === 1;
    if (state?.mode !== 'exclusive' || !exclusive(holder)) return undefined;
    const inside = (state.waiters ?? [])
      .map(({ owner }) => this.claims.find(({ claim }) => claim.owner === owner))
      .filter((asker) => asker !== undefined)
      .filter((asker) => asker.pod === holder.pod && exclusive(asker));
    const [first] = inside;
    if (!first) return undefined;
    const successor = dice.chance(0.7) ? first : dice.pick(inside);
    const between = inside.slice(0, inside.indexOf(successor));
    const from = [holder, ...between].map(({ claim }) => claim.owner);
    const { pod, claim } = successor;
    const text = `${nameOf(successor)} from ${[holder, ...between].map(nameOf).join(' ')}`;
    return dice.chance(0.3)
      ? { text: `release for ${text}`, ask: async (table) => String(await table.releaseFor(pod, claim, from)) }
      : { text: `take over ${text}`, ask: (table) => table.takeOver(pod, claim, from) };
  }
}

const attempt = (asker: Asker): Step => ({
  text: `attempt ${nameOf(asker)}`,
  ask: (table) => table.attempt(asker.pod, asker.claim, asker.joins),
});

const release = (asker: Asker): Step => ({
  text: `release ${nameOf(asker)}`,
  ask: async (table) => String(await table.release(asker.pod, asker.claim)),
});

const force = (key: string): Step => ({
  text: `force ${key.at(-1)}`,
  ask: async (table) => String(await table.forceRelease(key)),
});

/** Such as `0:7/k/exclusive 1`. */
const nameOf = ({ pod, joins, claim: { key, owner, mode, limit } }: Asker): string =>
  `${pod}:${owner.slice(owner.lastIndexOf(':') + 1)}/${key.at(-1)}/${mode} ${limit}${joins ? '' : ' (joins no line)'}`;

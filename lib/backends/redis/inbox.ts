import type { Claim, Grant, Waiter } from '../backend.js';
import { toToken } from './answers.js';
import { ByOwner } from './by-owner.js';
import type { Listening, RedisLink } from './link.js';
import { INBOX } from './protocol/index.js';

/** The instance a claim comes from: the part of its owner that names its inbox. */
export const instanceOf = (owner: string): string => owner.slice(0, owner.lastIndexOf(':'));

interface Expected {
  readonly owner: string;
  readonly claim: Claim;
  /** Where its grant arrives. */
  readonly inbox: string;
  readonly waiter: Waiter;
  /** Stands in line. One that waits for the channel before it does asks by itself when the channel is up. */
  readonly inLine: boolean;
  next: Expected | undefined;
}

/** The channel of an inbox: `up` while it stands, otherwise `rising` settles when it does, or when it is known why it will not. */
interface Channel {
  up: boolean;
  /** The server counts it as heard, and nothing comes: a path that lets no subscription live. Who is next looks for itself. */
  silent: boolean;
  /** How often it came to stand: what was asked before the last time says nothing of it. */
  ups: number;
  rising: Promise<void>;
  settle: (reason?: Error) => void;
  listening?: Listening;
}

/** In a cluster, where channels are many: how many may stay open although nobody waits at them. */
const IDLE_CHANNELS = 1_000;

/**
 * Where pushed grants arrive: one channel for each instance, so one in a process, however many locks and waiters; in a cluster
 * one for each slot that it waits in. It is opened by the first claim that finds its key busy.
 */
export class Inbox {
  readonly #waiters = new ByOwner<Expected>();
  readonly #listeners = new Set<(owner: string) => void>();
  readonly #channels = new Map<string, Channel>();
  readonly #up = new Set<string>();
  /** Keys of which an answer was lost and none came since, and those of them whose waiters are still to be told, with who asked. */
  readonly #doubtful = new Set<string>();
  readonly #missed = new Map<string, string | undefined>();
  #closed = false;

  /** @param confirm says of a pushed grant whether it counts, where that is a question */
  constructor(private readonly confirm: ((claim: Claim) => Promise<boolean>) | undefined) {}

  /** From here on pushes for this owner reach the waiter. */
  expect(claim: Claim, inbox: string, waiter: Waiter, inLine: boolean): void {
    this.#waiters.set({ owner: claim.owner, claim, inbox, waiter, inLine, next: undefined });
  }

  /**
   * An answer for this key was lost, and with it maybe grants to those who wait for it here: they look. Once, for who looks in
   * vain asks again by itself, and nobody may wake the others each time; and not who asked, for it knows. When a connection breaks,
   * many answers are lost at once: the waiters are gone through once for all of them.
   */
  missed(key: string, asker?: string): void {
    if (this.#doubtful.has(key)) return;
    this.#doubtful.add(key);
    this.#missed.set(key, asker);
    if (this.#missed.size === 1) process.nextTick(() => this.#tellMissed());
  }

  #tellMissed(): void {
    const missed = new Map(this.#missed);
    this.#missed.clear();
    for (const { claim, waiter, inLine } of this.#waiters) {
      if (inLine && missed.has(claim.key) && missed.get(claim.key) !== claim.owner) waiter.look();
    }
  }

  /** The server told somebody how things are with this key. */
  answered(key: string): void {
    if (this.#doubtful.size > 0) this.#doubtful.delete(key);
  }

  forget(owner: string): void {
    this.#waiters.delete(owner);
  }

  onLost(listener: (owner: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whether this waiter is still the one that pushes for the owner go to. */
  expects(owner: string, waiter: Waiter): boolean {
    return this.#waiters.get(owner)?.waiter === waiter;
  }

  /** Whether a push to this inbox would arrive. */
  stands(inbox: string): boolean {
    return this.#channels.get(inbox)?.up ?? false;
  }

  /**
   * Resolves when a push to this inbox would arrive. Only then may it stand in line: the server passes over whoever it cannot
   * reach, and one who came later would be served first.
   */
  async rising(inbox: string, link: RedisLink): Promise<void> {
    if (this.#closed) throw new Error('the locks are closed');
    const channel = this.#channels.get(inbox) ?? this.#open(inbox, link);
    if (!channel.up) await channel.rising;
  }

  /** Opens the channel. Everybody in line looks again whenever it stands: what was pushed before is lost. */
  #open(inbox: string, link: RedisLink): Channel {
    if (this.#channels.size >= IDLE_CHANNELS) this.#closeIdle();
    const channel: Channel = { up: false, silent: false, ups: 0, ...rising() };
    this.#channels.set(inbox, channel);
    channel.listening = link.listen(INBOX + inbox, {
      message: (message) => this.#receive(message),
      up: () => {
        channel.up = true;
        channel.silent = false;
        channel.ups++;
        channel.settle();
        this.#lookAt(inbox);
      },
      down: (reason) => {
        if (channel.up) Object.assign(channel, { up: false, ...rising() });
        // That holds until it stands: who comes later need not find it out by waiting.
        if (reason) channel.settle(reason);
      },
      silent: () => {
        if (channel.silent) return;
        channel.silent = true;
        this.#lookAt(inbox);
      },
      used: () => this.#waiters.size > 0,
    });
    return channel;
  }

  /** Whether nothing arrives there, although the server takes it for reached. */
  isSilent(inbox: string): boolean {
    return this.#channels.get(inbox)?.silent ?? false;
  }

  /** How often this inbox came to stand. */
  ups(inbox: string): number {
    return this.#channels.get(inbox)?.ups ?? 0;
  }

  /**
   * A question that was asked when it had come to stand so often (`ups`) found it deaf: the server knows of nobody there, or a push did not
   * come. Then it stands at a replica, at a server that was the primary once, or on a path that was cut.
   */
  deaf(inbox: string, ups: number): void {
    const channel = this.#channels.get(inbox);
    if (channel?.up && channel.ups === ups) channel.listening?.renew();
  }

  close(): void {
    this.#closed = true;
    for (const { listening } of this.#channels.values()) listening?.close();
    this.#channels.clear();
  }

  /** Channels come up many at a time when a connection is back; the waiters are gone through once for all of them. */
  #lookAt(inbox: string): void {
    this.#up.add(inbox);
    if (this.#up.size > 1) return;
    queueMicrotask(() => {
      for (const { inbox, waiter, inLine } of this.#waiters) if (inLine && this.#up.has(inbox)) waiter.look();
      this.#up.clear();
    });
  }

  #closeIdle(): void {
    const awaited = new Set([...this.#waiters].map(({ inbox }) => inbox));
    for (const [inbox, { up, listening }] of this.#channels) {
      if (!up || awaited.has(inbox)) continue;
      this.#channels.delete(inbox);
      listening?.close();
    }
  }

  grant(owner: string, fencingToken: bigint, at: number): void {
    const expected = this.#waiters.get(owner);
    const grant: Grant = { granted: true, fencingToken, at };
    if (this.confirm) {
      if (expected) void this.#confirmed(expected, grant, this.confirm);
      return;
    }
    this.#waiters.delete(owner);
    expected?.waiter.granted(grant);
  }

  async #confirmed(
    { claim, waiter }: Expected,
    grant: Grant,
    confirm: (claim: Claim) => Promise<boolean>,
  ): Promise<void> {
    const counts = await confirm(claim).catch(() => false);
    if (!this.expects(claim.owner, waiter)) return;
    if (!counts) return waiter.look();
    this.#waiters.delete(claim.owner);
    waiter.granted(grant);
  }

  lost(owner: string): void {
    for (const listener of this.#listeners) listener(owner);
  }

  /**
   * `g <owner> <token> <server µs>` granted, `l <owner>` look again, `x <owner>` taken away. Anybody may publish on a channel: what is none of
   * these is passed over, and nothing that goes wrong here may come out of the client's own code.
   */
  #receive(message: string): void {
    const [, verb, owner = '', token, at] = PUSHED.exec(message) ?? [];
    if (verb === 'g' && token && at) this.grant(owner, toToken(token), Number(at) / 1000);
    else if (verb === 'l') this.#waiters.get(owner)?.waiter.look();
    else if (verb === 'x') this.lost(owner);
  }
}

const PUSHED = /^([glx]) (\S+)(?: (\d{1,19}) (\d{1,16}))?$/;

function rising(): Pick<Channel, 'rising' | 'settle'> {
  let settle: Channel['settle'] = () => undefined;
  const promise = new Promise<void>((resolve, reject) => {
    settle = (reason) => (reason ? reject(reason) : resolve());
  });
  // Maybe nobody waits for it.
  promise.catch(() => undefined);
  return { rising: promise, settle };
}

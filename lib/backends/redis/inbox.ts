import type { Claim, Grant, Waiter } from '../backend.js';
import type { RedisLink } from './link.js';
import { INBOX } from './scripts.js';

/** The instance a claim comes from: the part of its owner that names its inbox. */
const instanceOf = (owner: string): string => owner.slice(0, owner.lastIndexOf(':'));

interface Expected {
  readonly key: string;
  readonly waiter: Waiter;
  /** Stands in line. One that waits for the channel before it does asks by itself when the channel is up. */
  readonly inLine: boolean;
}

/** The channel of an instance: `up` while it stands, otherwise `rising` settles when it does, or when the server refuses it. */
interface Channel {
  up: boolean;
  rising: Promise<void>;
  settle: (refusal?: Error) => void;
}

/**
 * Where pushed grants arrive: one channel for each instance, so one in a process, however many locks and waiters. It is opened
 * by the first claim that finds its key busy.
 */
export class Inbox {
  readonly #waiters = new Map<string, Expected>();
  readonly #listeners = new Set<(owner: string) => void>();
  readonly #channels = new Map<string, Channel>();

  /** From here on pushes for this owner reach the waiter. */
  expect({ owner, key }: Claim, waiter: Waiter, inLine: boolean): void {
    this.#waiters.set(owner, { key, waiter, inLine });
  }

  /** An answer for this key was lost, and with it maybe grants to those who wait for it here. */
  missed(key: string): void {
    for (const { key: awaited, waiter, inLine } of this.#waiters.values()) if (inLine && awaited === key) waiter.look();
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

  /** Whether a push to this owner would arrive. */
  stands(owner: string): boolean {
    return this.#channels.get(instanceOf(owner))?.up ?? false;
  }

  /**
   * Resolves when a push to this owner would arrive. Only then may it stand in line: the server passes over whoever it cannot
   * reach, and one who came later would be served first.
   */
  async rising(owner: string, link: RedisLink): Promise<void> {
    const instance = instanceOf(owner);
    const channel = this.#channels.get(instance) ?? this.#open(instance, link);
    if (!channel.up) await channel.rising;
  }

  /** Opens the channel. Everybody in line looks again whenever it stands: what was pushed before is lost. */
  #open(instance: string, link: RedisLink): Channel {
    const channel: Channel = { up: false, ...rising() };
    this.#channels.set(instance, channel);
    link.listen(
      INBOX + instance,
      (message) => this.#receive(message),
      () => {
        channel.up = true;
        channel.settle();
        for (const [owner, { waiter, inLine }] of this.#waiters) if (inLine && instanceOf(owner) === instance) waiter.look();
      },
      (refusal) => {
        if (refusal) channel.settle(refusal);
        if (channel.up || refusal) Object.assign(channel, { up: false, ...rising() });
      },
    );
    return channel;
  }

  grant(owner: string, fencingToken: bigint, at: number): void {
    const expected = this.#waiters.get(owner);
    this.#waiters.delete(owner);
    const grant: Grant = { granted: true, fencingToken, at };
    expected?.waiter.granted(grant);
  }

  lost(owner: string): void {
    for (const listener of this.#listeners) listener(owner);
  }

  /** `g <owner> <token> <server µs>` granted, `l <owner>` look again, `x <owner>` taken away. */
  #receive(message: string): void {
    const [verb, owner = '', token = '0', at = '0'] = message.split(' ');
    if (verb === 'g') this.grant(owner, BigInt(token), Number(at) / 1000);
    else if (verb === 'l') this.#waiters.get(owner)?.waiter.look();
    else if (verb === 'x') this.lost(owner);
  }
}

function rising(): Pick<Channel, 'rising' | 'settle'> {
  let settle: Channel['settle'] = () => undefined;
  const promise = new Promise<void>((resolve, reject) => {
    settle = (refusal) => (refusal ? reject(refusal) : resolve());
  });
  // Maybe nobody waits for it.
  promise.catch(() => undefined);
  return { rising: promise, settle };
}

import type { Grant, Waiter } from '../backend.js';
import type { RedisLink } from './link.js';
import { INBOX } from './scripts.js';

/** The instance a claim comes from: the part of its owner that names its inbox. */
const instanceOf = (owner: string): string => owner.slice(0, owner.lastIndexOf(':'));

/**
 * Where pushed grants arrive: one channel for each instance, so one in a process, however many locks and waiters. It is opened
 * by the first claim that finds its key busy.
 */
export class Inbox {
  readonly #waiters = new Map<string, Waiter>();
  readonly #listeners = new Set<(owner: string) => void>();
  readonly #channels = new Set<string>();

  /** From here on pushes for this owner reach the waiter. */
  expect(owner: string, waiter: Waiter): void {
    this.#waiters.set(owner, waiter);
  }

  forget(owner: string): void {
    this.#waiters.delete(owner);
  }

  onLost(listener: (owner: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Opens the owner's channel, once. Everybody looks again when it stands: a grant may have been published before. */
  open(owner: string, link: RedisLink): void {
    const instance = instanceOf(owner);
    if (this.#channels.has(instance)) return;
    this.#channels.add(instance);
    link.listen(
      INBOX + instance,
      (message) => this.#receive(message),
      () => {
        for (const [waiting, waiter] of this.#waiters) if (instanceOf(waiting) === instance) waiter.look();
      },
    );
  }

  grant(owner: string, fencingToken: bigint, at: number): void {
    const waiter = this.#waiters.get(owner);
    this.#waiters.delete(owner);
    const grant: Grant = { granted: true, fencingToken, at };
    waiter?.granted(grant);
  }

  lost(owner: string): void {
    for (const listener of this.#listeners) listener(owner);
  }

  /** `g <owner> <token> <server µs>` granted, `l <owner>` look again, `x <owner>` taken away. */
  #receive(message: string): void {
    const [verb, owner = '', token = '0', at = '0'] = message.split(' ');
    if (verb === 'g') this.grant(owner, BigInt(token), Number(at) / 1000);
    else if (verb === 'l') this.#waiters.get(owner)?.look();
    else if (verb === 'x') this.lost(owner);
  }
}

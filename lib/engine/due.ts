import { AsyncResource } from 'node:async_hooks';
import type { Clock } from './clock.js';

/**
 * What is due when, with one timer for all of it. Things due in the same millisecond stand together, and whoever rounds the
 * times he gives gets his batches made.
 */
export class DueList<T> {
  readonly #slots = new Map<number, Set<T>>();
  readonly #slotOf = new Map<T, number>();
  #armedFor = Infinity;
  #disarm: (() => void) | undefined;
  /** Not in the async context of whoever armed the timer: what falls due is not his. */
  readonly #fired = AsyncResource.bind(() => this.#fire());

  constructor(
    private readonly clock: Clock,
    private readonly run: (due: readonly T[]) => void,
  ) {}

  /** Makes the thing due at that time, and not at any earlier named one. */
  at(time: number, thing: T): void {
    const slot = Math.ceil(time);
    if (this.#slotOf.get(thing) === slot) return;
    this.remove(thing);
    this.#slotOf.set(thing, slot);
    const things = this.#slots.get(slot);
    if (things) things.add(thing);
    else this.#slots.set(slot, new Set([thing]));
    if (slot < this.#armedFor) this.#arm(slot);
  }

  /** The timer stays armed: it fires once for nothing rather than being set anew for every short-lived thing. */
  remove(thing: T): void {
    const slot = this.#slotOf.get(thing);
    if (slot === undefined) return;
    this.#slotOf.delete(thing);
    const things = this.#slots.get(slot);
    things?.delete(thing);
    if (things?.size === 0) this.#slots.delete(slot);
  }

  get size(): number {
    return this.#slotOf.size;
  }

  stop(): void {
    this.#disarm?.();
    this.#armedFor = Infinity;
    this.#slots.clear();
    this.#slotOf.clear();
  }

  /** Renewals are background work: they do not keep the process alive. */
  #arm(slot: number): void {
    this.#disarm?.();
    this.#armedFor = slot;
    this.#disarm = this.clock.after(slot - this.clock.now(), this.#fired, true);
  }

  #fire(): void {
    this.#armedFor = Infinity;
    const now = this.clock.now();
    const due: T[] = [];
    for (const [slot, things] of this.#slots) {
      if (slot > now) continue;
      this.#slots.delete(slot);
      for (const thing of things) {
        this.#slotOf.delete(thing);
        due.push(thing);
      }
    }
    if (due.length > 0) this.run(due);
    let next = Infinity;
    for (const slot of this.#slots.keys()) next = Math.min(next, slot);
    if (next < this.#armedFor) this.#arm(next);
  }
}

import { AsyncResource } from 'node:async_hooks';
import type { Clock } from './clock.js';
import { type Listed, NOWHERE, UnorderedList } from './unordered-list.js';

/** An item of one queue at a time. */
export interface Due {
  /** Its place in the queue, which only the queue changes. `undefined` while it is in none. */
  due: Entry | undefined;
}

interface Entry extends Listed {
  readonly slot: number;
  readonly thing: Due;
}

/**
 * A queue of items by their time, with one timer for all of them. Items of the same millisecond run together, while separate timers would
 * let the event loop in between. So rounded times make batches.
 */
export class TimerQueue<T extends Due> {
  readonly #slots = new Map<number, UnorderedList<Entry>>();
  #armedFor = Infinity;
  #disarm: (() => void) | undefined;
  /** Runs outside the async context in which the timer was set, because that belongs to another item. */
  readonly #fired = AsyncResource.bind(() => this.#fire());

  /** @param background whether the queue lets the process end */
  constructor(
    private readonly clock: Clock,
    private readonly background: boolean,
    private readonly run: (due: readonly T[]) => void,
  ) {}

  /** Makes the item due at that time, instead of any time before. */
  at(time: number, thing: T): void {
    const slot = Math.ceil(time);
    if (thing.due?.slot === slot) return;
    this.#forget(thing);
    const entry = { slot, thing, place: NOWHERE };
    thing.due = entry;
    let there = this.#slots.get(slot);
    if (!there) this.#slots.set(slot, (there = new UnorderedList()));
    there.add(entry);
    if (slot < this.#armedFor) this.#arm(slot);
  }

  /** The timer may stay set. It then fires once for nothing, which is cheaper than a new timer for every short-lived item. */
  remove(thing: T): void {
    this.#forget(thing);
    if (this.#slots.size === 0 && !this.background) this.#stopTimer();
  }

  get size(): number {
    let size = 0;
    for (const there of this.#slots.values()) size += there.size;
    return size;
  }

  stop(): void {
    this.#stopTimer();
    for (const there of this.#slots.values()) for (const { thing } of there) this.#forget(thing as T);
  }

  #forget(thing: T): void {
    const { due } = thing;
    if (!due) return;
    thing.due = undefined;
    const there = this.#slots.get(due.slot);
    there?.remove(due);
    if (there?.size === 0) this.#slots.delete(due.slot);
  }

  #arm(slot: number): void {
    this.#disarm?.();
    this.#armedFor = slot;
    this.#disarm = this.clock.after(slot - this.clock.now(), this.#fired, this.background);
  }

  #stopTimer(): void {
    this.#disarm?.();
    this.#armedFor = Infinity;
  }

  #fire(): void {
    this.#armedFor = Infinity;
    const now = this.clock.now();
    const due: T[] = [];
    for (const [slot, there] of this.#slots) {
      if (slot > now) continue;
      this.#slots.delete(slot);
      for (const { thing } of there) {
        thing.due = undefined;
        due.push(thing as T);
      }
    }
    if (due.length > 0) this.run(due);
    let next = Infinity;
    for (const slot of this.#slots.keys()) next = Math.min(next, slot);
    if (next < this.#armedFor) this.#arm(next);
  }
}

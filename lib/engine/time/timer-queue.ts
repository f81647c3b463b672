import { AsyncResource } from 'node:async_hooks';
import type { Clock } from './clock.js';
import { type Listed, NOWHERE, UnorderedList } from './unordered-list.js';

/** Something for one list at a time. */
export interface Due {
  /** Where it stands on its list; only that touches it. `undefined` at first, and while it is on none. */
  due: Entry | undefined;
}

interface Entry extends Listed {
  readonly slot: number;
  readonly thing: Due;
}

/**
 * What is due when, with one timer for all of it. Things due in the same millisecond stand together and run in one go, where
 * timers of their own would let the event loop in between; so whoever rounds the times he gives gets his batches made.
 */
export class TimerQueue<T extends Due> {
  readonly #slots = new Map<number, UnorderedList<Entry>>();
  #armedFor = Infinity;
  #disarm: (() => void) | undefined;
  /** Not in the async context of whoever armed the timer: what falls due is not his. */
  readonly #fired = AsyncResource.bind(() => this.#fire());

  /** @param background whether what is on the list leaves the process free to end */
  constructor(
    private readonly clock: Clock,
    private readonly background: boolean,
    private readonly run: (due: readonly T[]) => void,
  ) {}

  /** Makes the thing due at that time, and not at any earlier named one. */
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

  /** The timer may stay armed: it fires once for nothing rather than being set anew for every short-lived thing. */
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

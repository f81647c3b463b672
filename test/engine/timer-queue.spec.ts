import { describe, expect, it } from 'vitest';
import { type Due, TimerQueue } from '../../lib/engine/time/timer-queue.js';
import { VirtualClock } from '../simulation/virtual-clock.js';

interface Thing extends Due {
  readonly name: string;
}

function listOf(clock: VirtualClock, run: (names: readonly string[]) => void, background = true) {
  const list = new TimerQueue<Thing>(clock, background, (due) => run(due.map(({ name }) => name)));
  const things = new Map<string, Thing>();
  const thing = (name: string): Thing => {
    const known = things.get(name) ?? { name, due: undefined };
    things.set(name, known);
    return known;
  };
  return {
    at: (time: number, name: string) => list.at(time, thing(name)),
    remove: (name: string) => list.remove(thing(name)),
    stop: () => list.stop(),
    get size() {
      return list.size;
    },
  };
}

function dueList() {
  const clock = new VirtualClock();
  const ran: { readonly at: number; readonly due: readonly string[] }[] = [];
  const list = listOf(clock, (due) => void ran.push({ at: clock.now(), due }));
  return { clock, ran, list };
}

describe('TimerQueue', () => {
  it('runs what is due, never early, and what is due in the same millisecond together', async () => {
    const { clock, ran, list } = dueList();
    list.at(10.2, 'a');
    list.at(10.9, 'b');
    list.at(30, 'c');
    await clock.advance(100);
    expect(ran).toEqual([
      { at: 11, due: ['a', 'b'] },
      { at: 30, due: ['c'] },
    ]);
  });

  it('has one timer, whatever is on it', async () => {
    const { clock, list } = dueList();
    for (let i = 0; i < 1_000; i++) list.at(100 + i, `thing ${i}`);
    expect(clock.pending).toBe(1);
    await clock.advance(500);
    expect(clock.pending).toBe(1);
    await clock.advance(1_000);
    expect(clock.pending).toBe(0);
  });

  it('an earlier thing is not kept waiting by a later one that came first', async () => {
    const { clock, ran, list } = dueList();
    list.at(1_000, 'late');
    list.at(10, 'early');
    await clock.advance(10);
    expect(ran).toEqual([{ at: 10, due: ['early'] }]);
  });

  it('moves a thing to another time and forgets one that is removed', async () => {
    const { clock, ran, list } = dueList();
    list.at(10, 'moved');
    list.at(10, 'gone');
    list.at(20, 'moved');
    list.remove('gone');
    expect(list.size).toBe(1);
    await clock.advance(100);
    expect(ran).toEqual([{ at: 20, due: ['moved'] }]);
    expect(list.size).toBe(0);
  });

  it('takes on new things, also at once due, while it runs', async () => {
    const clock = new VirtualClock();
    const ran: [number, string][] = [];
    const list = listOf(clock, (due) => {
      for (const thing of due) ran.push([clock.now(), thing]);
      if (ran.length < 4) list.at(clock.now(), `after ${ran.length}`);
    });
    list.at(5, 'first');
    await clock.advance(100);
    expect(ran.map(([, thing]) => thing)).toEqual(['first', 'after 1', 'after 2', 'after 3']);
  });

  it('after a stall runs all that was missed, at once', async () => {
    const { clock, ran, list } = dueList();
    for (const time of [10, 20, 30]) list.at(time, `at ${time}`);
    list.at(5_000, 'later');
    clock.freeze();
    await clock.advance(1_000);
    clock.thaw();
    await clock.advance(1);
    expect(ran).toEqual([{ at: 1_000, due: ['at 10', 'at 20', 'at 30'] }]);
    await clock.advance(5_000);
    expect(ran).toHaveLength(2);
  });

  it('that is no background work keeps the process alive while anything is on it, and no longer', () => {
    const clock = new VirtualClock();
    const list = listOf(clock, () => undefined, false);
    list.at(10, 'first');
    list.at(20, 'second');
    list.remove('first');
    expect(clock.pending).toBe(1);
    list.remove('second');
    expect(clock.pending).toBe(0);
  });

  it('stopped, it leaves no timer', () => {
    const { clock, list } = dueList();
    list.at(10, 'a');
    list.stop();
    expect(clock.pending).toBe(0);
    expect(list.size).toBe(0);
  });
});

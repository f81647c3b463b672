import { describe, expect, it } from 'vitest';
import { VirtualClock } from './virtual-clock.js';

describe('the virtual clock', () => {
  it('runs timers in their order, at their time, and those of one time as they were set', async () => {
    const clock = new VirtualClock();
    const ran: [string, number][] = [];
    const note = (name: string) => (): void => void ran.push([name, clock.now()]);
    clock.after(30, note('c'));
    clock.after(10, note('a'));
    clock.after(30, note('d'));
    clock.after(20, note('b'));
    await clock.advance(29);
    expect(ran).toEqual([
      ['a', 10],
      ['b', 20],
    ]);
    await clock.advance(1);
    expect(ran.slice(2)).toEqual([
      ['c', 30],
      ['d', 30],
    ]);
    expect(clock.now()).toBe(30);
  });

  it('stays in order with thousands of timers, some of them cancelled', async () => {
    const clock = new VirtualClock();
    const ran: number[] = [];
    const cancels = Array.from({ length: 5_000 }, (_, i) => {
      const ms = ((i * 7_919) % 4_999) + 1;
      return clock.after(ms, () => void ran.push(ms));
    });
    for (let i = 0; i < cancels.length; i += 3) cancels[i]?.();
    await clock.advance(5_000);
    expect(ran).toHaveLength(3_333);
    expect(ran).toEqual([...ran].sort((one, other) => one - other));
    expect(clock.pending).toBe(0);
  });

  it('finishes everything that promises have to do before time goes on', async () => {
    const clock = new VirtualClock();
    const seen: number[] = [];
    async function work(): Promise<void> {
      for (let i = 0; i < 1_000; i++) await Promise.resolve();
      seen.push(clock.now());
      await new Promise<void>((resolve) => void clock.after(5, resolve));
      seen.push(clock.now());
    }
    clock.after(10, () => void work());
    clock.after(11, () => void seen.push(clock.now()));
    await clock.advance(100);
    expect(seen).toEqual([10, 11, 15]);
  });

  it('as in Node, a timer takes a whole millisecond at least', async () => {
    const clock = new VirtualClock();
    const ran: number[] = [];
    clock.after(0, () => void ran.push(clock.now()));
    clock.after(1.2, () => void ran.push(clock.now()));
    clock.after(-5, () => void ran.push(clock.now()));
    await clock.advance(10);
    expect(ran).toEqual([1, 1, 2]);
  });

  it('run lets time pass until a promise settles, and says so when it never does', async () => {
    const clock = new VirtualClock();
    expect(await clock.run(new Promise((resolve) => void clock.after(250, () => resolve('done'))))).toBe('done');
    expect(clock.now()).toBe(250);
    const failing = new Promise((_, reject) => void clock.after(10, () => reject(new Error('mine'))));
    await expect(clock.run(failing)).rejects.toThrow('mine');
    await expect(clock.run(new Promise(() => undefined))).rejects.toThrow(/the promise has not settled/);
  });

  it('a process that is frozen misses its timers and its mail, and catches up all at once: first the mail', async () => {
    const world = new VirtualClock();
    const [frozen, other] = [world.process(), world.process()];
    const ran: string[] = [];
    frozen.after(10, () => void ran.push('timer at 10'));
    frozen.after(500, () => void ran.push('timer at 500'));
    const cancel = frozen.after(20, () => void ran.push('timer at 20'));
    other.after(15, () => frozen.receive(() => void ran.push('mail at 15')));
    other.after(30, () =>
      frozen.receive(() => {
        ran.push('mail at 30');
        cancel();
      }),
    );
    frozen.freeze();
    await world.advance(100);
    expect(ran).toEqual([]);
    expect(frozen.now()).toBe(100);
    expect(frozen.upToDate).toBe(false);
    frozen.thaw();
    expect(ran).toEqual([]);
    expect(frozen.upToDate).toBe(false);
    await world.advance(0);
    expect(ran).toEqual(['mail at 15', 'mail at 30', 'timer at 10']);
    expect(frozen.upToDate).toBe(true);
    await world.advance(400);
    expect(ran.at(-1)).toBe('timer at 500');
  });

  it('a process that is killed does nothing any more, and others go on', async () => {
    const world = new VirtualClock();
    const [dead, other] = [world.process(), world.process()];
    const ran: string[] = [];
    dead.after(10, () => void ran.push('dead'));
    other.after(10, () => void ran.push('other'));
    dead.kill();
    dead.receive(() => void ran.push('mail to the dead'));
    await world.advance(100);
    expect(ran).toEqual(['other']);
    expect(dead.alive).toBe(false);
    expect(dead.pending).toBe(0);
  });

  it('clocks of different machines show different times and run at different rates', async () => {
    const world = new VirtualClock();
    const slow = world.process({ rate: 0.5, offset: 1_000 });
    let rang = NaN;
    slow.after(100, () => (rang = world.now()));
    await world.advance(300);
    expect(rang).toBe(200);
    expect(slow.now()).toBe(1_150);
  });
});

import { describe, expect, it } from 'vitest';
import { Masters } from './masters.js';

const GRANTED = { granted: true };
const BUSY = { granted: false };

describe('votes', () => {
  it.each([
    [3, 2],
    [4, 3],
    [5, 3],
    [6, 4],
  ])('of %i servers %i make a lock, and one fewer does not', async (servers, majority) => {
    const attemptWith = (votes: number) => {
      const masters = new Masters(servers);
      const { backend, links, clock } = masters.voter();
      for (const link of links.slice(votes)) link.cut();
      return clock.run(backend.attempt(masters.claim()));
    };
    expect(await attemptWith(majority)).toMatchObject(GRANTED);
    const tooFew = `${servers - majority + 1} of ${servers} servers gave no answer`;
    await expect(attemptWith(majority - 1)).rejects.toThrow(tooFew);
  });

  it('two halves of four servers, which cannot reach each other, give no lock to anybody', async () => {
    const masters = new Masters(4);
    const [one, other] = [masters.voter(), masters.voter()];
    for (const link of one.links.slice(2)) link.cut();
    for (const link of other.links.slice(0, 2)) link.cut();
    const attempts = [one, other].map(({ backend }) => backend.attempt(masters.claim()));
    for (const attempt of attempts) await expect(masters.clock.run(attempt)).rejects.toThrow('gave no answer');
  });

  it('that make a majority impossible end the attempt at once, though the others say nothing', async () => {
    const masters = new Masters(5);
    const { backend, links, clock } = masters.voter();
    for (const index of [0, 1]) links[index]!.cut();
    const refusal = new Error('out of memory');
    for (const index of [2, 3, 4])
      links[index]!.way = () => {
        throw refusal;
      };
    await expect(clock.run(backend.attempt(masters.claim()))).rejects.toMatchObject({
      errors: [2, 3, 4].map((index) => ({ message: `memory (${index + 1}): out of memory`, cause: refusal })),
    });
    expect(clock.now()).toBe(0);
  });

  it('that are split evenly end the attempt, with one server silent too', async () => {
    for (const servers of [4, 5]) {
      const masters = new Masters(servers);
      const { backend, links, clock } = masters.voter();
      masters.give('a:1', 0, 1);
      masters.give('b:1', 2, 3);
      links[4]?.cut();
      expect(await clock.run(backend.attempt(masters.claim()))).toMatchObject(BUSY);
      expect(clock.now()).toBeLessThanOrEqual(250);
    }
  });

  it('are given back when they are not enough', async () => {
    const masters = new Masters(5);
    const { backend, clock } = masters.voter();
    masters.give('a:1', 0, 1, 2);
    expect(await clock.run(backend.attempt(masters.claim()))).toMatchObject({ ...BUSY, holder: 'a:1' });
    await clock.advance(1);
    expect(masters.holders).toEqual(['a:1', 'a:1', 'a:1', undefined, undefined]);
  });

  it('are not asked for where others want the key too, until it is the turn: the next one needs them', async () => {
    const masters = new Masters(5);
    const { backend, links, clock } = masters.voter();
    const attempts = (): number[] =>
      links.map(({ asked }) => asked.splice(0).filter(({ question }) => question === 'attempt').length);
    masters.give('a:1', 0);
    expect(await clock.run(backend.attempt(masters.claim()))).toMatchObject(BUSY);
    expect(attempts()).toEqual([1, 1, 1, 1, 1]);
    expect(await clock.run(backend.attempt(masters.claim()))).toMatchObject(BUSY);
    expect(attempts()).toEqual([1, 0, 0, 0, 0]);
    masters.take('a:1', 0);
    const claim = masters.claim();
    expect(await clock.run(backend.attempt(claim))).toMatchObject(GRANTED);
    expect(attempts()).toEqual([1, 1, 1, 1, 1]);
    await clock.run(backend.release(claim));
    await clock.advance(2_000);
    masters.give('a:1', 0);
    expect(await clock.run(backend.attempt(masters.claim()))).toMatchObject(BUSY);
    expect(attempts()).toEqual([1, 1, 1, 1, 1]);
  });

  it('that come late are given back', async () => {
    const masters = new Masters(5);
    const { backend, links, clock } = masters.voter();
    masters.give('a:1', 0, 1, 2);
    for (const index of [3, 4]) links[index]!.way = (question) => (question === 'attempt' ? [0, 100] : [0, 0]);
    expect(await clock.run(backend.attempt(masters.claim()))).toMatchObject(BUSY);
    await clock.advance(1);
    expect(masters.holders.slice(3)).toEqual(['pod:1', 'pod:1']);
    await clock.advance(100);
    expect(masters.holders.slice(3)).toEqual([undefined, undefined]);
  });

  it('whose answer was lost are given back, and after a release as well', async () => {
    const masters = new Masters(5);
    const { backend, links, clock } = masters.voter();
    links[3]!.way = (question) => (question === 'attempt' ? [0, undefined] : [0, 0]);
    links[4]!.way = (question) => (question === 'attempt' ? [40, 0] : [0, 0]);
    const claim = masters.claim();
    expect(await clock.run(backend.attempt(claim))).toMatchObject(GRANTED);
    expect(await backend.release(claim)).toBe(true);
    // It was sent before the release, and arrives after it.
    await clock.advance(2_000);
    expect(masters.holders).toEqual(Array.from({ length: 5 }, () => undefined));
  });

  it('are given back once: a release sent again says no, also while a server has not confirmed the first', async () => {
    const masters = new Masters(5);
    const { backend, links, clock } = masters.voter();
    links[4]!.way = (question) => (question === 'release' ? [50, 0] : [0, 0]);
    const claim = masters.claim();
    await clock.run(backend.attempt(claim));
    expect(await clock.run(backend.release(claim))).toBe(true);
    expect(await clock.run(backend.release(claim))).toBe(false);
  });

  it('are given back at the server at which all wait before the release is told: whoever asks then is not refused', async () => {
    const masters = new Masters(5);
    const [one, other] = [masters.voter(), masters.voter()];
    one.links[0]!.way = (question) => (question === 'release' ? [50, 0] : [0, 0]);
    const claim = masters.claim();
    await masters.clock.run(one.backend.attempt(claim));
    expect(await masters.clock.run(one.backend.release(claim))).toBe(true);
    expect(await masters.clock.run(other.backend.attempt(masters.claim()))).toMatchObject(GRANTED);
  });

  it('are given back within the time limit of a server, also if the one at which all wait is silent', async () => {
    const masters = new Masters(5);
    const { backend, links, clock } = masters.voter({ nodeTimeout: 100 });
    const claim = masters.claim();
    await clock.run(backend.attempt(claim));
    links[0]!.cut();
    expect(await clock.run(backend.release(claim))).toBe(true);
    expect(clock.now()).toBe(100);
  });

  it('that are on their way when the process closes are waited for and given back', async () => {
    const masters = new Masters(5);
    const { backend, links, clock } = masters.voter();
    links[4]!.way = (question) => (question === 'attempt' ? [0, 50] : [0, 0]);
    const claim = masters.claim();
    await clock.run(backend.attempt(claim));
    expect(await clock.run(backend.release(claim))).toBe(true);
    await clock.run(backend.close());
    expect(masters.untouched).toBe(true);
  });

  it('that were given back are never counted again: their release is on its way', async () => {
    const masters = new Masters(3);
    const [one, other] = [masters.voter(), masters.voter()];
    other.links[0]!.cut();
    masters.give('x:1', 0);
    const claim = masters.claim();
    // Its releases take their time.
    for (const link of one.links) link.way = (question) => (question === 'release' ? [100, 0] : [0, 0]);
    expect(await one.clock.run(one.backend.attempt(claim))).toMatchObject(BUSY);
    masters.take('x:1', 0);
    const again = one.backend.attempt(claim);
    await masters.clock.advance(150);
    const attempts = [again, other.backend.attempt(masters.claim())];
    const granted = await masters.clock.run(Promise.all(attempts));
    expect(granted.filter((attempt) => attempt.granted)).toHaveLength(1);
  });
});

describe('a server that does not answer', () => {
  it('holds nobody up while a majority answers', async () => {
    const masters = new Masters(5);
    const { backend, links, clock } = masters.voter();
    for (const index of [1, 4]) links[index]!.cut();
    expect(await clock.run(backend.attempt(masters.claim()))).toMatchObject(GRANTED);
    expect(clock.now()).toBe(0);
  });

  it('at which all wait holds them up for its time limit, and once', async () => {
    const masters = new Masters(5);
    const { backend, links, clock } = masters.voter({ nodeTimeout: 100 });
    links[0]!.cut();
    const claim = masters.claim();
    expect(await clock.run(backend.attempt(claim))).toMatchObject(GRANTED);
    expect(clock.now()).toBe(100);
    expect(await clock.run(backend.release(claim))).toBe(true);
    expect(await clock.run(backend.attempt(masters.claim()))).toMatchObject(GRANTED);
    expect(clock.now()).toBe(100);
  });

  it('is asked for nothing but a sign of life until it gives one', async () => {
    const masters = new Masters(3);
    const { backend, links, clock } = masters.voter();
    const link = links[2]!;
    link.cut();
    const first = masters.claim();
    await clock.run(backend.attempt(first));
    await clock.run(backend.release(first));
    await clock.advance(1_000);
    link.asked.length = 0;
    for (let i = 0; i < 5; i++) {
      const claim = masters.claim();
      await clock.run(backend.attempt(claim));
      await clock.run(backend.release(claim));
      await clock.advance(500);
    }
    expect(new Set(link.asked.map(({ question }) => question))).toEqual(new Set(['ping']));
    link.mend();
    await clock.advance(3_000);
    await clock.run(backend.attempt(masters.claim()));
    expect(link.asked.at(-1)).toMatchObject({ question: 'attempt' });
  });
});

describe('renewal', () => {
  it.each<[string, { silent: number[]; lost: number[]; held: boolean | undefined }]>([
    ['two servers are silent', { silent: [0, 4], lost: [], held: true }],
    ['two servers have forgotten it', { silent: [], lost: [1, 2], held: true }],
    ['three servers have forgotten it', { silent: [], lost: [1, 2, 3], held: false }],
    ['two have forgotten it and one is silent', { silent: [0], lost: [1, 2], held: undefined }],
  ])('by a majority, each server by itself: %s', async (_, { silent, lost, held }) => {
    const masters = new Masters(5);
    const { backend, links, clock } = masters.voter();
    const claim = masters.claim('pod:1', 1_000);
    await clock.run(backend.attempt(claim));
    await clock.advance(500);
    for (const server of silent) links[server]!.cut();
    for (const server of lost) masters.tables[server]!.forceRelease('order');
    const [answer] = await clock.run(backend.renew([claim]).catch(() => [undefined]));
    expect(answer).toBe(held);
    for (const [server, table] of masters.tables.entries()) {
      if (silent.includes(server) || lost.includes(server) || held === false) continue;
      // Asked for at once, whatever the others say.
      expect(table.inspect('order').holders[0]?.remainingMs).toBe(1_500 - clock.now());
    }
  });

  it('that is answered by the last server after the release gives no vote back to one that lacks it', async () => {
    const masters = new Masters(5);
    const { backend, links, clock } = masters.voter();
    masters.give('x:1', 4);
    const claim = masters.claim();
    await clock.run(backend.attempt(claim));
    links[3]!.way = (question) => (question === 'renew' ? [0, 50] : [0, 0]);
    expect(await clock.run(backend.renew([claim]))).toEqual([true]);
    expect(await clock.run(backend.release(claim))).toBe(true);
    masters.take('x:1', 4);
    await clock.advance(5_000);
    expect(masters.untouched).toBe(true);
  });

  it.each([
    ['at the same time', 0],
    ['one after the other', 60],
  ])('gives a forgotten vote back once, though two renewals miss it %s', async (_, later) => {
    const masters = new Masters(5);
    const { backend, links, clock } = masters.voter();
    const claim = masters.claim();
    await clock.run(backend.attempt(claim));
    masters.tables[1]!.forceRelease('order');
    let renewals = 0;
    links[3]!.way = (question) => (question === 'renew' ? [0, renewals++ * later] : [0, 0]);
    links[1]!.way = (question) => (question === 'attempt' ? [20, 20] : [0, 0]);
    links[1]!.asked.length = 0;
    await clock.run(Promise.all([backend.renew([claim]), backend.renew([claim])]));
    await clock.advance(500);
    expect(links[1]!.asked.filter(({ question }) => question === 'attempt')).toHaveLength(1);
    expect(masters.holders).toEqual(Array.from({ length: 5 }, () => claim.owner));
  });

  it('that says it is lost gives back what is left of it, which would keep the others out', async () => {
    const masters = new Masters(3);
    const { backend, clock } = masters.voter();
    const claim = masters.claim('pod:1', 60_000);
    await clock.run(backend.attempt(claim));
    for (const server of [1, 2]) masters.tables[server]!.forceRelease('order');
    await clock.run(backend.renew([claim]));
    await clock.advance(1_000);
    expect(masters.untouched).toBe(true);
    expect(await clock.run(backend.release(claim))).toBe(false);
  });
});

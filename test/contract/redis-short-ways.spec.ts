import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ATTEMPT } from '../../lib/backends/redis/protocol/attempt.js';
import { clusterProtocol, protocol, RELEASES } from '../../lib/backends/redis/protocol/index.js';
import { RELEASE, RELEASE_READ } from '../../lib/backends/redis/protocol/release.js';
import { lua, type Script, script } from '../../lib/backends/redis/protocol/script.js';
import { LINE } from '../../lib/backends/redis/protocol/line.js';
import { LOCK } from '../../lib/backends/redis/protocol/lock.js';
import { PUSH } from '../../lib/backends/redis/protocol/push.js';
import { CLOCK } from '../../lib/backends/redis/protocol/state.js';
import { RELEASED_FOR } from '../../lib/backends/redis/protocol/take-over.js';
import { attemptOf, type Call, type Claim, Life, takeOverOf, World } from './redis-life.js';
import { PinnedRedis, pinned, type Question, type Result, type Stored } from './redis-pinned.js';

/** Where the whole scripts have their arguments when they are called alone, and nothing was read before. */
const ALONE = lua`
local k, a, read = 1, 0, nil
`;

/** The scripts as they are, the same without their short ways, and what a slot on its way to another node is asked with. */
function ways(counterTtl: number) {
  const { attempt, attemptAll, release, renew, takeOver, downgrade, force, together } = protocol(counterTtl);
  const narrow = clusterProtocol(counterTtl);
  const keep = lua`local KEEP = ${counterTtl}`;
  const whole = (verb: string): Script => pinned(script(keep, ALONE, CLOCK, PUSH, LOCK, LINE, verb));
  const narrowed = ({ narrow }: Script): Script => pinned(narrow ?? script("error('there is none')"));
  return {
    usual: {
      attempt: pinned(attempt),
      release: pinned(release),
      renew: pinned(renew),
      takeOver: pinned(takeOver),
      attemptAll: pinned(attemptAll),
      downgrade: pinned(downgrade),
      force: pinned(force),
    },
    whole: {
      attempt: whole(ATTEMPT),
      release: whole(RELEASE_READ + RELEASED_FOR + RELEASE),
      renew: pinned(renew),
      takeOver: pinned(takeOver),
    },
    narrow: { attempt: narrowed(narrow.attempt), release: narrowed(narrow.release), renew: narrowed(narrow.renew) },
    together: pinned(together),
  };
}

/** Locks, and a key that is none. */
const LOCKS = ['0', '1', '2', '3'];
const BROKEN = 'broken';

type Ways = ReturnType<typeof ways>;

const isShort = (verb: Call['verb']): verb is keyof Ways['narrow'] =>
  verb === 'attempt' || verb === 'release' || verb === 'renew';

const question = (script: Script, of: string, { verb, args }: Call): Question =>
  verb === 'renew' ? { script, of, args: [args.join(' ')], keys: [0, 2] } : { script, of, args };

const argsTogether = ({ verb, args }: Call): readonly string[] =>
  verb === 'release' ? [args[0] ?? '', args[1] ?? '0', RELEASES + (args[2] ?? '')] : args;

/** The same lock, for the scripts without short ways. */
const copyOf = (lock: string): string => `copy of ${lock}`;

interface Told {
  readonly answer: readonly string[];
  readonly stored: Stored;
  readonly said: readonly string[];
}

const toldBy = ({ answer, stored, said }: Result, call: Call): Told => ({
  answer: answerOf(call, answer),
  stored,
  said,
});

/** The answer, in whichever form it came. When it was given, a grant that is not pushed does not say. */
function answerOf({ verb }: Call, answer: unknown): readonly string[] {
  if (!Array.isArray(answer)) return verb === 'attempt' ? ['1', String(answer)] : [String(answer)];
  const words = answer.map(String);
  if (verb === 'attempt' && words[0] === '1') return ['1', ...words.slice(1, 2), ...words.slice(3)];
  return verb === 'release' ? [...words.slice(0, 1), ...words.slice(2)] : words;
}

/**
 * The two as they are compared, without that in which a short way is free:
 * - a lease that has ended is as good as held when it is let go, if nobody took the lock since: nobody else was in;
 * - the key of a lock that was free needs no longer life than its new holder gives it.
 */
function compared(short: Result, whole: Result, call: Call, before: Stored, counterTtl: number): readonly [Told, Told] {
  const [one, other] = [toldBy(short, call), toldBy(whole, call)];
  const nobodySince = call.verb === 'release' && releasedBy(call).includes(before.fields['o'] ?? '');
  const wasFree = call.verb === 'attempt' && !['o', 'n', 'r', 's'].some((field) => field in before.fields);
  return [
    { ...one, stored: lifeAs(other.stored, one.stored, wasFree && lastsLongEnough(one.stored, counterTtl)) },
    nobodySince ? { ...other, answer: [...one.answer.slice(0, 1), ...other.answer.slice(1)] } : other,
  ];
}

/** Whose lock a release lets go of: its owner's, or that of one it took the key over from. */
function releasedBy({ args: [owner = '', , from = ''] }: Call): readonly string[] {
  const instance = owner.slice(0, owner.lastIndexOf(':') + 1);
  return [owner, ...from.split(' ').map((number) => instance + number)];
}

/** Whether the lock's key outlives its holder for as long as the counter is to stay. */
const lastsLongEnough = ({ fields, ends }: Stored, counterTtl: number): boolean =>
  Number(fields['g']) >= Number(fields['e'] ?? 0) + counterTtl - 1 && ends.lock >= Number(fields['g']);

/** This one, as if its key ended when that of the other does, if that is free or the same to a millisecond. */
function lifeAs(other: Stored, one: Stored, free: boolean): Stored {
  const near = (some = 0, more = 0): boolean => Math.abs(some - more) <= 1;
  const [g, otherG] = [one.fields['g'], other.fields['g']];
  if (g === undefined || otherG === undefined) return one;
  if (!free && !(near(Number(g), Number(otherG)) && near(one.ends.lock, other.ends.lock))) return one;
  return { ...one, fields: { ...one.fields, g: otherG }, ends: { ...one.ends, lock: other.ends.lock } };
}

describe('the short ways through the scripts on Redis', () => {
  let redis: PinnedRedis;

  beforeAll(async () => {
    redis = await PinnedRedis.start();
  });
  afterAll(() => redis?.stop());
  beforeEach(() => redis.clear());

  const claim = (owner: string, kind = 'x 1', ttl = 5_000): Claim => ({
    owner,
    kind,
    ttl,
    claimTtl: 3_000,
    joins: true,
  });
  const release = (owner: string, ...closed: string[]): Call => ({ verb: 'release', args: [owner, ...closed] });

  /** Asks for these one after another, at one moment. */
  const ask = (counterTtl: number, ...calls: readonly Call[]): Promise<Result[]> =>
    redis.ask(calls.map((call) => question(ways(counterTtl).usual[call.verb], 'lock', call)));

  /** What has ended by then is gone. */
  async function later(milliseconds: number): Promise<void> {
    redis.us += milliseconds * 1_000;
    await redis.stored(['lock']);
  }

  it('a lock of several that is kept closed stays so, longer than its lease and its counter, and then nothing is left', async () => {
    await ask(0, attemptOf(claim('pod-a:1', 's 1', 100)));
    const [closed] = await ask(0, release('pod-a:1', '60000'));
    expect(closed!.stored.ends).toEqual({ lock: redis.now + 60_000, line: -2, shared: redis.now + 60_000 });
    await later(59_000);
    const [busy] = await ask(0, attemptOf(claim('pod-a:2')));
    // The first: it joined the line, and nobody listens for it.
    expect(busy!.answer).toEqual([2, 1_001, redis.us, 'pod-a:1~', 'pod-a:1~']);
  });

  it('a lock that goes from hand to hand in a process keeps the life of its counter, and of the line only what is not its', async () => {
    const claims = ['pod-a:1', 'pod-a:2', 'pod-a:3', 'pod-b:4'].map((owner) => attemptOf(claim(owner)));
    await ask(1_000, ...claims);
    await later(4_000);
    const [lost] = await ask(1_000, takeOverOf('pod-a:3', 5_000, 7n, ['pod-a:1', 'pod-a:2']));
    expect(lost).toMatchObject({ answer: 1, stored: { fields: { o: 'pod-a:3', e: String(redis.now + 5_000) } } });
    expect(lost!.stored.line).toEqual(['pod-b:4', expect.any(String)]);
    expect(Object.keys(lost!.stored.fields).filter((field) => field.startsWith('w:'))).toEqual(['w:pod-b:4']);
    expect(lost!.stored.ends.lock).toBeGreaterThanOrEqual(redis.now + 6_000);
  });

  it('a token that a process gave out by itself is none of the server’s, whatever its clock says', async () => {
    // The clock stands still, so each token comes from the one before it.
    const answers = await ask(
      600_000,
      attemptOf(claim('pod-a:1')),
      ...[attemptOf(claim('pod-a:2')), release('pod-a:1'), release('pod-a:2')],
      ...[attemptOf(claim('pod-a:3', 's 1')), release('pod-a:3'), attemptOf(claim('pod-a:4'))],
    );
    const tokens = answers.map(({ stored: { fields } }) => Number(fields['t']));
    expect(tokens.map((token) => token - tokens[0]!)).toEqual([0, 0, 33, 33, 66, 66, 99]);
  });

  it('a lock that goes to one with a shorter lease lives as long as the one before could believe in it', async () => {
    await ask(0, attemptOf(claim('pod-a:1', 'x 1', 60_000)), attemptOf(claim('pod-a:2')));
    await later(14_000);
    await ask(0, { verb: 'renew', args: ['pod-a:1', '60000'] });
    const [taken] = await ask(0, takeOverOf('pod-a:2', 5_000, 7n, ['pod-a:1']));
    expect(taken!.answer).toBe(1);
    expect(Number(taken!.stored.fields['e'])).toBe(redis.now + 60_000);
    expect(taken!.stored.ends.lock).toBeGreaterThanOrEqual(redis.now + 60_000);
  });

  it('one before who came into line again by a late question is out of it when the takeover is repeated', async () => {
    const takeOver = takeOverOf('pod-a:3', 5_000, 7n, ['pod-a:1', 'pod-a:2']);
    const claims = ['pod-a:1', 'pod-a:2', 'pod-a:3'].map((owner) => attemptOf(claim(owner)));
    const answers = await ask(600_000, ...claims, takeOver, attemptOf(claim('pod-a:1')), takeOver);
    expect(answers.slice(-2).map(({ stored }) => stored.line.length)).toEqual([2, 0]);
  });

  it.each([
    ['one whose number ends like that of the holder', 'pod-a:12', ['pod-a:21']],
    ['one of another instance', 'pod-b:2', ['pod-b:1']],
    ['one whose instance begins like that of the holder', 'pod-a:1:2', ['pod-a:1:1']],
  ])('nobody takes a lock over from %s', async (_, owner, from) => {
    const [held, refused] = await ask(600_000, attemptOf(claim('pod-a:1')), takeOverOf(owner, 5_000, 7n, from));
    expect(refused).toMatchObject({ answer: 0, stored: held!.stored });
  });

  it('a line that begins anew has an end, as the one before it had', async () => {
    const first = [attemptOf(claim('pod-a:1')), attemptOf(claim('pod-a:2')), release('pod-a:1')];
    const [, , handedOn, next] = await ask(600_000, ...first, attemptOf(claim('pod-a:3')));
    expect(handedOn!.stored).toMatchObject({ fields: { o: 'pod-a:2', s: '1' }, line: [] });
    expect(next!.stored).toMatchObject({ line: ['pod-a:3', '2'], ends: { line: redis.now + 60_000 } });
  });

  it.each(['s 1', 'p 2'])('who lets go after its lease had ended and others had come (%s) is told so', async (kind) => {
    const late = release('pod-a:1');
    await ask(600_000, attemptOf(claim('pod-a:1', 'x 1', 100)));
    await later(200);
    const [other, lost] = await ask(600_000, attemptOf(claim('pod-b:1', kind)), late);
    expect(answerOf(late, lost!.answer)).toEqual(['0']);
    expect(lost!.stored).toEqual(other!.stored);
  });

  it('what readers left behind that died is gone when the next one comes', async () => {
    const readers = Array.from({ length: 20 }, (_, number) => attemptOf(claim(`pod-a:${number}`, 's 1')));
    await ask(600_000, ...readers);
    await later(5_000);
    const [next] = await ask(600_000, attemptOf(claim('pod-b:1')));
    expect(Object.keys(next!.stored.fields).sort()).toEqual(['e', 'g', 'o', 't']);
  });

  it('what a line left behind that died while the lock was held is gone with the first one who finds nobody there', async () => {
    const holder = claim('pod-b:1', 'x 1', 100_000);
    const waiters = Array.from({ length: 20 }, (_, number) => attemptOf(claim(`pod-a:${number}`)));
    await ask(600_000, attemptOf(holder), ...waiters);
    await later(90_000);
    const [letGo] = await ask(600_000, release(holder.owner));
    expect(Object.keys(letGo!.stored.fields).sort()).toEqual(['g', 't']);
  });

  it.each([100, 200])('say, store and push what the whole scripts do (20 seeds from %i on)', async (first) => {
    for (let seed = first; seed < first + 20; seed++) {
      const world = await World.begin(redis, seed);
      const { usual, whole, narrow } = ways(world.counterTtl);
      const life = new Life(world.dice);
      for (let step = 0; step < 60; step++) {
        await world.goOn();
        const [before] = (await redis.stored(['lock'])) as [Stored];
        const call = life.next(before);
        const { verb } = call;
        if (!isShort(verb)) {
          await redis.ask([question(usual[verb], 'lock', call)]);
          continue;
        }
        const where = `seed ${seed}, step ${step}: ${JSON.stringify({ counterTtl: world.counterTtl, at: redis.us, call, before })}`;
        const [short, all, alone] = (await redis.ask(
          [
            question(usual[verb], 'lock', call),
            question(whole[verb], copyOf('lock'), call),
            question(narrow[verb], copyOf('narrow'), call),
          ],
          [
            ['lock', copyOf('lock')],
            ['lock', copyOf('narrow')],
          ],
        )) as [Result, Result, Result];
        const [told, expected] = compared(short, all, call, before, world.counterTtl);
        expect({ where, ...told }).toEqual({ where, ...expected });
        expect({ where, ends: Object.values(short.stored.ends) }).not.toMatchObject({
          ends: expect.arrayContaining([-1]),
        });
        if (String(alone.answer).includes('TRYAGAIN')) continue;
        const [toldAlone, expectedOfIt] = compared(alone, all, call, before, world.counterTtl);
        expect({ where, ...toldAlone }).toEqual({ where, ...expectedOfIt });
      }
    }
  });

  it.each([500, 600])(
    'together say, store and push what they do one after another (12 seeds from %i on)',
    async (first) => {
      for (let seed = first; seed < first + 12; seed++) {
        const world = await World.begin(redis, seed);
        const { dice, counterTtl } = world;
        const { usual, whole, together } = ways(counterTtl);
        const lives = new Map(LOCKS.map((lock) => [lock, new Life(dice)] as const));
        await redis.client.set(BROKEN, 'not a lock');
        for (let round = 0; round < 12; round++) {
          for (let step = dice.whole(0, 6); step > 0; step--) {
            await world.goOn();
            const [lock, life] = dice.pick([...lives]);
            const [before] = (await redis.stored([lock])) as [Stored];
            const call = life.next(before);
            await redis.ask([question(usual[call.verb], lock, call)]);
          }
          // To them it is one millisecond.
          redis.us += 1_000 - (redis.us % 1_000) + dice.whole(0, 900);
          const stored = new Map((await redis.stored(LOCKS)).map((stored, lock) => [LOCKS[lock], stored]));
          const calls = Array.from({ length: dice.whole(2, 16) }, () => {
            const [lock, life] = dice.pick([...lives]);
            return { lock: dice.chance(0.02) ? BROKEN : lock, call: life.nextTogether(stored.get(lock)!) };
          });
          const where = `seed ${seed}, round ${round}: ${JSON.stringify({ counterTtl, at: redis.us, calls, stored: [...stored] })}`;
          const failing = calls.findIndex(({ lock }) => lock === BROKEN);
          const done = failing < 0 ? calls : calls.slice(0, failing);
          const [atOnce, ...oneByOne] = (await redis.ask(
            [
              {
                script: together,
                of: calls.map(({ lock }) => lock),
                args: calls.flatMap(({ call }) => argsTogether(call)),
              },
              ...done.map(({ lock, call }, later) => ({ ...question(whole[call.verb], copyOf(lock), call), later })),
            ],
            LOCKS.map((lock) => [lock, copyOf(lock)]),
          )) as [Result, ...Result[]];
          const answers = Array.isArray(atOnce.answer) ? atOnce.answer : [];
          // The failure of the very first is that of all.
          const refused = String(atOnce.answer).includes('WRONGTYPE');
          expect({ where, said: atOnce.said, answers: answers.length, refused }).toEqual({
            where,
            said: oneByOne.flatMap(({ said }) => said),
            answers: done.length,
            refused: failing === 0,
          });
          for (const [index, { lock, call }] of done.entries()) {
            const one = oneByOne[index]!;
            const same = { answer: answers[index], stored: one.stored, said: one.said };
            const [told, expected] = compared(same, one, call, stored.get(lock)!, counterTtl);
            expect({ where, index, ...told }).toEqual({ where, index, ...expected });
            stored.set(lock, one.stored);
          }
          for (const [index, short] of (await redis.stored(LOCKS)).entries()) {
            const all = stored.get(LOCKS[index])!;
            const told = lifeAs(all, short, lastsLongEnough(short, counterTtl));
            expect({ where, index, ...told }).toEqual({ where, index, ...all });
          }
        }
      }
    },
  );
});

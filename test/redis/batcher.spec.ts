import { describe, expect, it } from 'vitest';
import { Batcher } from '../../lib/backends/redis/batcher.js';
import type { Run } from '../../lib/backends/redis/link.js';
import { protocol, RELEASES, TAKES_OVER } from '../../lib/backends/redis/protocol/index.js';

const scripts = protocol(600_000);
const names = new Map((['attempt', 'release', 'takeOver', 'together'] as const).map((name) => [scripts[name], name]));

interface Sent {
  readonly script: string;
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
  readonly answer: (answer: unknown) => void;
  readonly fail: (error: Error) => void;
}

/** Calls to a server that answers when the test says so. */
function callsTo(apart = false) {
  const sent: Sent[] = [];
  const run: Run = (script, keys, args) =>
    new Promise((answer, fail) => {
      sent.push({ script: names.get(script) ?? 'another', keys, args, answer, fail });
    });
  const batcher = new Batcher(run, scripts, apart);
  const keysOf = (key: string) => [key, `${key}:line`, `${key}:shared`];
  const inboxes = undefined;
  const claim = { mode: 'exclusive', limit: 1, ttl: 10, claimTtl: 10 } as const;
  return {
    sent,
    attempt: (key: string) =>
      batcher.ask({ verb: 'attempt', keys: keysOf(key), owner: `owner of ${key}`, claim, joins: true, inboxes }),
    release: (key: string, owner = `owner of ${key}`, from: readonly string[] = []) =>
      batcher.ask({ verb: 'release', keys: keysOf(key), owner, keepMs: 0, from, inboxes }),
    takeOver: (key: string, owner = `successor of ${key}`, from: readonly string[] = ['owner:1']) =>
      batcher.ask({ verb: 'takeOver', keys: keysOf(key), owner, ttl: 10, fencingToken: 5n, from, inboxes }),
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** An array that is awaited as outcomes, so that a rejection is a value. */
const outcomes = async (promises: readonly Promise<unknown>[]): Promise<unknown[]> =>
  (await Promise.allSettled(promises)).map((outcome) =>
    outcome.status === 'fulfilled' ? outcome.value : (outcome.reason as Error).message,
  );

describe('attempts and releases on their way to Redis', () => {
  it('one that comes while nothing is on its way goes at once', () => {
    const { sent, attempt } = callsTo();
    void attempt('a');
    expect(sent).toMatchObject([{ script: 'attempt', keys: ['a', 'a:line', 'a:shared'] }]);
  });

  it('what one turn of the event loop asks for meanwhile goes together, in its order, and each gets its own answer', async () => {
    const { sent, attempt, release } = callsTo();
    const first = attempt('a');
    const others = [attempt('b'), release('c'), attempt('d')];
    expect(sent).toHaveLength(1);
    await turn();
    expect(sent).toHaveLength(2);
    expect(sent[1]).toMatchObject({
      script: 'together',
      keys: ['b', 'b:line', 'b:shared', 'c', 'c:line', 'c:shared', 'd', 'd:line', 'd:shared'],
      args: [
        ...['owner of b', '10', 'x 1 10 1'],
        ...['owner of c', '0', RELEASES],
        ...['owner of d', '10', 'x 1 10 1'],
      ],
    });
    sent[1]?.answer([7, 1, [0, 5, 6, 'somebody']]);
    sent[0]?.answer(3);
    expect(await outcomes([first, ...others])).toEqual([3, 7, 1, [0, 5, 6, 'somebody']]);
  });

  it('takeovers wait for the end of their turn and go together, though nothing is on its way', async () => {
    const { sent, takeOver } = callsTo();
    const held = [takeOver('a'), takeOver('b')];
    expect(sent).toEqual([]);
    await turn();
    expect(sent).toMatchObject([
      {
        script: 'together',
        args: ['successor of a', '10', `${TAKES_OVER} 5 1 `, 'successor of b', '10', `${TAKES_OVER} 5 1 `],
      },
    ]);
    sent[0]?.answer([1, 2]);
    expect(await outcomes(held)).toEqual([1, 2]);
  });

  it('of a key that went on in the same turn the server hears the last owner only, and what it says of that holds for all', async () => {
    const { sent, takeOver, attempt } = callsTo();
    const held = [takeOver('a', 'owner:2', ['owner:1']), attempt('b')];
    held.push(takeOver('a', 'owner:3', ['owner:1', 'owner:2']));
    await turn();
    expect(sent).toMatchObject([
      {
        script: 'together',
        keys: ['b', 'b:line', 'b:shared', 'a', 'a:line', 'a:shared'],
        args: ['owner of b', '10', 'x 1 10 1', 'owner:3', '10', `${TAKES_OVER} 5 1 2 `],
      },
    ]);
    sent[0]?.answer([7, 2]);
    expect(await outcomes(held)).toEqual([2, 7, 2]);
  });

  it('of a key that was let go in the turn in which it went on, the server hears the release only', async () => {
    const { sent, takeOver, release, attempt } = callsTo();
    const held = [takeOver('a', 'owner:2', ['owner:1']), takeOver('a', 'owner:3', ['owner:1', 'owner:2'])];
    held.push(release('a', 'owner:3', ['owner:1', 'owner:2']));
    await turn();
    expect(sent).toMatchObject([{ script: 'release', args: ['owner:3', '0', ' 1 2 '] }]);
    sent[0]?.answer([1, 6, 'owner:9', 8]);
    // The three ask again together.
    const again = held.map((one) => one.then(() => attempt('a')));
    expect(await outcomes(held)).toEqual([1, 1, [1, 6, 'owner:9', 8]]);
    await turn();
    expect(sent.slice(1).map(({ args }) => args.length / 3)).toEqual([3]);
    sent[1]?.answer([1, 2, 3]);
    expect(await outcomes(again)).toEqual([1, 2, 3]);
  });

  it('without an answer to the last owner of a turn, nothing is known of those before it', async () => {
    const { sent, takeOver, release } = callsTo();
    const held = [takeOver('a', 'owner:2', ['owner:1']), release('a', 'owner:2', ['owner:1', 'owner:2'])];
    await turn();
    sent[0]?.fail(new Error('Connection is closed.'));
    expect(await outcomes(held)).toEqual(['Connection is closed.', 'Connection is closed.']);
    expect(sent).toHaveLength(1);
  });

  it('a takeover that the key did not go on from is told by itself, be it of another key or of the same', async () => {
    const { sent, takeOver, release } = callsTo();
    void takeOver('a', 'owner:2', ['owner:1']);
    void takeOver('b', 'owner:4', ['owner:3', 'owner:2']);
    void takeOver('a', 'owner:6', ['owner:5']);
    void release('b', 'owner:7');
    await turn();
    expect(sent).toHaveLength(1);
    expect(sent[0]?.args.filter((_, index) => index % 3 === 0)).toEqual(['owner:2', 'owner:4', 'owner:6', 'owner:7']);
  });

  it('a takeover that stays alone in its turn goes as it is', async () => {
    const { sent, takeOver } = callsTo();
    const held = takeOver('a');
    await turn();
    expect(sent.map(({ script }) => script)).toEqual(['takeOver']);
    sent[0]?.answer(1);
    expect(await held).toBe(1);
  });

  it('those who were answered together ask again together: nobody of another process comes between them in line', async () => {
    const { sent, attempt, takeOver } = callsTo();
    const again = ['a', 'b'].map((key) => takeOver(key).then(() => attempt(key)));
    await turn();
    sent[0]?.answer([1, 1]);
    await turn();
    expect(sent.map(({ script }) => script)).toEqual(['together', 'together']);
    sent[1]?.answer([7, 8]);
    expect(await outcomes(again)).toEqual([7, 8]);
    await turn();
    // Who comes later is alone again.
    void attempt('c');
    expect(sent[2]?.script).toBe('attempt');
  });

  it('none overtakes those that wait for the end of the turn, though the server has nothing to do by now', async () => {
    const { sent, attempt, release } = callsTo();
    const first = attempt('a');
    void attempt('b');
    sent[0]?.answer(1);
    await first;
    // Given up in the same turn: if this came first, the server would have the attempt for good.
    void release('b');
    await turn();
    expect(sent.map(({ script }) => script)).toEqual(['attempt', 'together']);
    expect(sent[1]?.args).toEqual(['owner of b', '10', 'x 1 10 1', 'owner of b', '0', RELEASES]);
  });

  it('sixteen go together; with the sixteenth they are sent, and the server begins while more are being asked for', async () => {
    const { sent, attempt } = callsTo();
    for (let i = 0; i < 1 + 16 + 2; i++) void attempt(`${i}`);
    expect(sent.map(({ args }) => args.length / 3)).toEqual([1, 16]);
    await turn();
    expect(sent.map(({ args }) => args.length / 3)).toEqual([1, 16, 2]);
  });

  it('the one that the server refused gets its error, and the others are asked for again without it', async () => {
    const { sent, attempt } = callsTo();
    const all = outcomes(['a', 'b', 'c', 'd'].map(attempt));
    await turn();
    sent[0]?.answer(1);
    // The first of the three did not fail: it is answered, and the second is the first of the rest.
    sent[1]?.answer([2]);
    await turn();
    expect(sent[2]?.keys.filter((_, index) => index % 3 === 0)).toEqual(['c', 'd']);
    sent[2]?.fail(new Error('WRONGTYPE Operation against a key holding the wrong kind of value'));
    await turn();
    // The server does not say for whose sake it refused the two, so each is asked for alone.
    expect(sent.slice(3).map(({ script, keys }) => [script, keys[0]])).toEqual([
      ['attempt', 'c'],
      ['attempt', 'd'],
    ]);
    sent[3]?.fail(new Error('WRONGTYPE Operation against a key holding the wrong kind of value'));
    sent[4]?.answer(4);
    expect(await all).toEqual([1, 2, 'WRONGTYPE Operation against a key holding the wrong kind of value', 4]);
  });

  it('without an answer nobody knows of any, and nothing is asked for again', async () => {
    const { sent, attempt } = callsTo();
    const first = attempt('a');
    const others = [attempt('b'), attempt('c')];
    await turn();
    sent[0]?.answer(1);
    sent[1]?.fail(new Error('Connection is closed.'));
    expect(await outcomes([first, ...others])).toEqual([1, 'Connection is closed.', 'Connection is closed.']);
    expect(sent).toHaveLength(2);
  });

  it('an answer that no script of ours gives is an error for each, and asked for once', async () => {
    const { sent, attempt } = callsTo();
    const first = attempt('a');
    const others = [attempt('b'), attempt('c')];
    await turn();
    sent[0]?.answer(1);
    sent[1]?.answer('OK');
    expect(await outcomes([first, ...others])).toEqual([
      1,
      'Redis answered a lock script with string; is a proxy in between?',
      'Redis answered a lock script with string; is a proxy in between?',
    ]);
    expect(sent).toHaveLength(2);
  });

  it('where they cannot go together each goes at once', () => {
    const { sent, attempt, release, takeOver } = callsTo(true);
    for (const key of ['a', 'b']) void attempt(key);
    void release('c');
    void takeOver('d');
    expect(sent.map(({ script }) => script)).toEqual(['attempt', 'attempt', 'release', 'takeOver']);
  });
});

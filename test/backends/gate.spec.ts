import { expect, it } from 'vitest';
import { Gate, GivenUpError } from '../../lib/backends/line/gate.js';

const always = () => true;

function deferred<T>() {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((done) => (resolve = done));
  return { promise, resolve };
}

it('lets so many requests through at once, and the others in order', async () => {
  const gate = new Gate(2);
  const sent: number[] = [];
  const answers = Array.from({ length: 5 }, () => deferred<void>());
  const all = answers.map(({ promise }, index) =>
    gate.run(() => {
      sent.push(index);
      return promise;
    }, always),
  );
  await Promise.resolve();
  expect(sent).toEqual([0, 1]);
  for (const { resolve } of answers) resolve();
  await Promise.all(all);
  expect(sent).toEqual([0, 1, 2, 3, 4]);
});

it('does not send a request that was given up while it waited', async () => {
  const gate = new Gate(1);
  const first = deferred<string>();
  const running = gate.run(() => first.promise, always);
  const sent: string[] = [];
  const send = (name: string, wanted: () => boolean) =>
    gate.run(async () => {
      sent.push(name);
      return name;
    }, wanted);
  const givenUp = send('given up', () => false);
  const wanted = send('wanted', always);
  first.resolve('done');
  await expect(givenUp).rejects.toBeInstanceOf(GivenUpError);
  expect([await running, await wanted]).toEqual(['done', 'wanted']);
  expect(sent).toEqual(['wanted']);
});

it('goes on after a request that failed', async () => {
  const gate = new Gate(1);
  await expect(gate.run(() => Promise.reject(new Error('broken')), always)).rejects.toThrow('broken');
  expect(await gate.run(async () => 'next', always)).toBe('next');
});

it('refuses all that wait when the server answers nobody, and lets later ones through', async () => {
  const gate = new Gate(1);
  const first = deferred<string>();
  const running = gate.run(() => first.promise, always);
  const waiting = Array.from({ length: 3 }, () => gate.run(async () => 'sent', always));
  const refused = Promise.allSettled(waiting);
  gate.refuseAll(new Error('silent'));
  expect((await refused).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  first.resolve('done');
  expect(await running).toBe('done');
  expect(await gate.run(async () => 'later', always)).toBe('later');
});

it('keeps its order over thousands', async () => {
  const gate = new Gate(3);
  const sent: number[] = [];
  await Promise.all(
    Array.from({ length: 5_000 }, (_, index) =>
      gate.run(async () => {
        sent.push(index);
      }, always),
    ),
  );
  expect(sent).toEqual(Array.from({ length: 5_000 }, (_, index) => index));
});

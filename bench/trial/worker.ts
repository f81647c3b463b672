/** One process of a trial; `worker-process.ts` starts it and talks to it. */
import { contender } from '../contenders/index.js';
import { scenario } from '../scenarios/index.js';
import type { Stage, Task } from '../scenarios/scenario.js';

interface Message {
  readonly type: string;
  readonly value: unknown;
}

const received: Message[] = [];
const waiting = new Map<string, (value: unknown) => void>();
process.on('message', (message: Message) => {
  const receive = waiting.get(message.type);
  if (!receive) received.push(message);
  else {
    waiting.delete(message.type);
    receive(message.value);
  }
});
// Without a parent there is no trial.
process.on('disconnect', () => process.exit(1));
// What a library leaves unhandled would end a service; here it is counted, so that its trial goes on.
let unhandled = 0;
process.on('unhandledRejection', () => unhandled++);
process.on('uncaughtException', (error) => {
  unhandled++;
  if (unhandled === 1) console.error(error);
});

const send = (type: string, value?: unknown): void => void process.send?.({ type, value });
const receive = (type: string): Promise<unknown> => {
  const at = received.findIndex((message) => message.type === type);
  const [message] = at < 0 ? [] : received.splice(at, 1);
  return message ? Promise.resolve(message.value) : new Promise((resolve) => waiting.set(type, resolve));
};

try {
  const task = (await receive('task')) as Task;
  const locker = await contender(task.contender).open(task.port);
  await locker.prepare?.(task.keys, task.case.waiters, task.index === 0);
  const stage: Stage = { task, locker, send, receive };
  send('done', await scenario(task.scenario).work(stage));
} catch (error) {
  send('failed', error instanceof Error ? error.message : String(error));
}

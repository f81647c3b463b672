import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Testimony } from './witness.js';

/** One process of the shop, or one Nest application of several in this process. */
export interface Shop {
  readonly url: string;
  report(): Promise<Testimony>;
  close(): Promise<void>;
}

export async function openHere(): Promise<Shop> {
  // Only now, because the shop reads its environment when it is loaded.
  const [{ NestFactory }, { AppModule }, { Witness }] = await Promise.all([
    import('@nestjs/core'),
    import('../05-any-backend/src/app.module.js'),
    import('./witness.js'),
  ]);
  const app = await NestFactory.create(AppModule, { logger: ['error', 'fatal'] });
  const witness = new Witness(app);
  await app.listen(0, '127.0.0.1');
  return { url: await app.getUrl(), report: async () => witness.report(), close: () => app.close() };
}

export async function openProcess(): Promise<Shop> {
  const child = fork(fileURLToPath(new URL('shop-process.ts', import.meta.url)), {
    execArgv: ['--import', '@oxc-node/core/register'],
    serialization: 'advanced',
  });
  const url = await answer<string>(child).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  return {
    url,
    report: async () => {
      child.send('report');
      return answer<Testimony>(child);
    },
    close: async () => {
      if (hasEnded(child)) return;
      const ended = once(child, 'exit');
      const impatience = setTimeout(() => child.kill('SIGKILL'), MOST_FOR_CLOSE_MS);
      child.send('close');
      await ended;
      clearTimeout(impatience);
      if (child.signalCode) throw new Error('A process of the shop did not end by itself when it was told to.');
    },
  };
}

/** Work and locks are given back within milliseconds; a process that cannot do so is told of as an error. */
const MOST_FOR_CLOSE_MS = 15_000;

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null;

async function answer<T>(child: ChildProcess): Promise<T> {
  const ended = new AbortController();
  const early = () => ended.abort(new Error(`A process of the shop ended with ${child.exitCode ?? child.signalCode}.`));
  if (hasEnded(child)) early();
  child.once('exit', early);
  try {
    const [message] = await once(child, 'message', { signal: ended.signal });
    return message as T;
  } catch (error) {
    throw ended.signal.reason ?? error;
  } finally {
    child.off('exit', early);
  }
}

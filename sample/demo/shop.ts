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
    import('../01-orders/src/app.module.js'),
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
  const url = await answer<string>(child);
  return {
    url,
    report: async () => {
      child.send('report');
      return answer<Testimony>(child);
    },
    close: async () => {
      const ended = once(child, 'exit');
      child.send('close');
      await ended;
    },
  };
}

async function answer<T>(child: ChildProcess): Promise<T> {
  const ended = new AbortController();
  const early = () => ended.abort(new Error(`A process of the shop ended with ${child.exitCode ?? child.signalCode}.`));
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

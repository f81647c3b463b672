import type { ServerControl } from './process.js';

/** A server that somebody else runs, named in an environment variable: good for use, not ours to freeze, kill or stop. */
export function elsewhere<T extends object>(
  variable: string,
  address: T,
): T & ServerControl & { readonly pid: number } {
  const refuse = (): never => {
    throw new Error(
      `${variable} names a server that is not ours to control: unset it, or start a server with { own: true }.`,
    );
  };
  return {
    ...address,
    get pid(): number {
      return refuse();
    },
    pause: refuse,
    resume: refuse,
    kill: async () => refuse(),
    restart: async () => refuse(),
    stop: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

import type { Run } from './link.js';

/** Has the server run a script, which it is told by its text or by its digest. */
type Eval = (script: string, keys: readonly string[], args: readonly (string | number)[]) => Promise<unknown>;

/**
 * Runs scripts on one connection of whichever client. The first call of each brings its text along and so costs no round trip more;
 * from then on the server has it, unless it was restarted.
 *
 * @param explained makes more of an error of the client
 */
export function runner(byText: Eval, byDigest: Eval, explained: (error: unknown) => unknown = (error) => error): Run {
  const known = new Set<string>();
  const introduce: Run = async ({ sha, text }, keys, args) => {
    try {
      const answer = await byText(text, keys, args);
      known.add(sha);
      return answer;
    } catch (error) {
      throw explained(error);
    }
  };
  return (script, keys, args) => {
    if (!known.has(script.sha)) return introduce(script, keys, args);
    return byDigest(script.sha, keys, args).catch((error: unknown) => {
      if (isNoScript(error)) return introduce(script, keys, args);
      throw explained(error);
    });
  };
}

const isNoScript = (error: unknown): boolean => error instanceof Error && error.message.startsWith('NOSCRIPT');

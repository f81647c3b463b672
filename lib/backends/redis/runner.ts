import type { Run } from './link.js';
import type { Script } from './protocol/index.js';
import { isNoScript } from './refusals.js';

/** Has the server run a script, which it is told by its text or by its digest. */
type Eval = (script: string, keys: readonly string[], args: readonly (string | number)[]) => Promise<unknown>;

/**
 * Runs scripts on one connection of whichever client. The first call of each brings its text along and so costs no round trip more;
 * the calls behind it come to the server after it, so they name the digest only, also before that first one is answered. A server that
 * lost its scripts is sent each once again, however many calls find that out together.
 *
 * @param explained makes more of an error of the client
 */
export function runner(byText: Eval, byDigest: Eval, explained: (error: unknown) => unknown = (error) => error): Run {
  /** How often each script was sent, by its digest. */
  const sent = new Map<string, number>();

  async function failed(
    error: unknown,
    before: number,
    script: Script,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown> {
    if (!isNoScript(error)) throw explained(error);
    try {
      // Sent by somebody else meanwhile, it is there by now.
      if (sent.get(script.sha) !== before) return await byDigest(script.sha, keys, args);
    } catch (error) {
      if (!isNoScript(error)) throw explained(error);
    }
    return introduce(script, keys, args);
  }

  async function introduce(
    { sha, text, first }: Script,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown> {
    sent.set(sha, (sent.get(sha) ?? 0) + 1);
    try {
      if (first === undefined) return await byText(text, keys, args);
      // Both at once, so that they come to one and the same server also when the client sends them again.
      const [, answer] = await Promise.all([byText(first, [], []), byText(text, keys, args)]);
      return answer;
    } catch (error) {
      throw explained(error);
    }
  }

  return (script, keys, args) => {
    const before = sent.get(script.sha);
    if (before === undefined) return introduce(script, keys, args);
    return byDigest(script.sha, keys, args).catch((error: unknown) => failed(error, before, script, keys, args));
  };
}

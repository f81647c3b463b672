import { ask } from '../asking/ask.js';
import type { Clock } from '../time/clock.js';
import type { Family } from './family.js';
import type { HeldKey } from './held-key.js';
import type { Watchdog } from './watchdog.js';

export interface HeldKeyChangesTools {
  readonly clock: Clock;
  /** Time limit of a single call to the server, in milliseconds. */
  readonly callTimeout: number;
  readonly watchdog: Pick<Watchdog, 'renewNow'>;
  readonly family: Pick<Family, 'downgrade'>;
}

/** Changes a held key. Each method rejects when the server did not answer. */
export class HeldKeyChanges {
  constructor(private readonly tools: HeldKeyChangesTools) {}

  /** Renews now, and from here on to `ttl` milliseconds. */
  async extend({ lease }: HeldKey, ttl: number | undefined): Promise<void> {
    await this.tools.watchdog.renewNow(lease, ttl);
  }

  get canDowngrade(): boolean {
    return this.tools.family.downgrade !== undefined;
  }

  /**
   * Makes it shared. Resolves to whether it was held.
   * @param onAsked called when the question goes to the server
   */
  async downgrade({ claim, lease }: HeldKey, onAsked: () => void): Promise<boolean> {
    const { clock, callTimeout, family, watchdog } = this.tools;
    // The server may not know yet that another owner of this process handed it over.
    await lease.renewing;
    if (lease.succession.unconfirmedToken !== undefined) await watchdog.renewNow(lease);
    onAsked();
    return (await ask(clock, callTimeout, async () => family.downgrade?.(claim))) ?? false;
  }
}

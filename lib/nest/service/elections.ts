import { Logger } from '@nestjs/common';
import { ask } from '../../engine/asking/ask.js';
import { SystemClock } from '../../engine/time/clock.js';
import { toMilliseconds } from '../../lock/duration.js';
import type { LockEngine } from '../../engine/engine.js';
import { LockConfigurationError, LockLostError } from '../../lock/errors.js';
import { checkOptionNames } from '../../lock/option-names.js';
import { Election, type LeaderOptions } from '../../engine/election/leader-election.js';
import { LeaderElection } from './leader-election.js';

interface Standing {
  readonly election: Election;
  readonly leaderElection: LeaderElection;
  readonly ttl: LeaderOptions['ttl'];
}

const NAMES: ReadonlySet<string> = new Set(['ttl']);

/** All elections on one backend that the application stands for: from the end of the start to the beginning of the shutdown. */
export class Elections {
  readonly #standing = new Map<string, Standing>();
  readonly #logger = new Logger('LeaderElection');
  #open: () => void = () => undefined;
  readonly #opened = new Promise<void>((resolve) => (this.#open = resolve));
  #closed = false;

  constructor(private readonly engine: LockEngine) {}

  /** @throws LockConfigurationError when it has no such option, the name is stood for with another `ttl` already, or the backend cannot do it */
  get(name: string, options: LeaderOptions = {}): LeaderElection {
    checkOptionNames('a leader election', options, NAMES);
    const standing = this.#standing.get(name);
    if (standing === undefined) return this.#stand(name, options);
    const { ttl } = options;
    if (ttl !== undefined && (standing.ttl === undefined || milliseconds(ttl) !== milliseconds(standing.ttl))) {
      throw new LockConfigurationError(
        `This application stands for "${name}" twice, with the \`ttl\` ${standing.ttl ?? 'of the module'} and ${ttl}. Give it in one place.`,
        { backend: this.engine.name },
      );
    }
    return standing.leaderElection;
  }

  open(): void {
    this.#open();
  }

  /** Hands every office over, and resolves when the leaders' work has settled, or after that long. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    const handedOver = [...this.#standing.values()].map(({ election }) => election.close());
    await ask(new SystemClock(), graceMs, () => Promise.all(handedOver)).catch(() => {
      this.#logger.warn(
        'What a leader does has not ended although its `signal` aborted. The shutdown goes on without it.',
      );
    });
  }

  #stand(name: string, options: LeaderOptions): LeaderElection {
    const election = new Election(this.engine, name, options, { opened: this.#opened });
    election.listen({
      elected: ({ fencingToken }) =>
        this.#logger.log(`This process leads "${name}", with token ${fencingToken ?? 'none'}.`),
      ended: (_, reason) => this.#ended(name, reason),
      unanswered: (error) =>
        this.#logger.error(
          `This process stands for "${name}" and cannot be elected: the lock backend does not answer it, or refuses it. It goes on trying.`,
          error,
        ),
      failed: (error) =>
        this.#logger.error(`Leading "${name}" failed; this process stands for it again in a while.`, error),
    });
    const leaderElection = new LeaderElection(election);
    this.#standing.set(name, { election, leaderElection, ttl: options.ttl });
    if (this.#closed) void election.close();
    else election.campaign();
    return leaderElection;
  }

  #ended(name: string, reason: unknown): void {
    if (reason instanceof LockLostError) this.#logger.warn(`This process leads "${name}" no more. ${reason.message}`);
    else this.#logger.log(`This process leads "${name}" no more.`);
  }
}

const milliseconds = (ttl: NonNullable<LeaderOptions['ttl']>): number => toMilliseconds('ttl', ttl);

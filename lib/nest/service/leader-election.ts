import { Observable } from 'rxjs';
import type { Election } from '../../engine/election/leader-election.js';
import type { Leadership, LeaderWork } from '../../engine/election/leader-term.js';

/**
 * Leader election: of all processes that stand for `name`, one leads. `LockService.leader(name)` gives it, one for each name and
 * application, and stands for it from the end of the start on, when every `onApplicationBootstrap` has run, to the beginning of the
 * shutdown, before any `onModuleDestroy`.
 *
 * The leader holds the lock `leader:<name>` and the others stand in its line. When it shuts down or resigns, the next one leads as soon
 * as the leader's work has settled, by one push. When it dies, is frozen or is cut off, **nobody leads until its lease (`ttl`) has
 * ended**; it is told so before that, by `signal` and `leader$`. Two processes never both have `isLeader` on one healthy backend, but a
 * request that the old leader had already sent may arrive after the new one has begun: that is what the fencing token is for.
 */
export class LeaderElection {
  /** The present term, or `null` while another process leads: at once on subscribing, then whenever it changes. */
  readonly leader$: Observable<Leadership | null>;

  constructor(private readonly election: Election) {
    this.leader$ = new Observable((subscriber) => {
      const stop = election.listen({
        elected: (leadership) => subscriber.next(leadership),
        ended: () => subscriber.next(null),
      });
      subscriber.next(election.leadership ?? null);
      return stop;
    });
  }

  get name(): string {
    return this.election.name;
  }

  /** Whether this process surely leads at this moment. Asks the clock, so it is right even when no timer could run. */
  get isLeader(): boolean {
    return this.election.leadership !== undefined;
  }

  /** The present term, or `null` while another process leads. */
  get leadership(): Leadership | null {
    return this.election.leadership ?? null;
  }

  /** Of the present term; grows with each leader. */
  get fencingToken(): bigint | undefined {
    return this.election.leadership?.fencingToken;
  }

  /**
   * Has the work done while this process leads: begun once in every term, the present one included, and told to stop by the `signal` of the
   * leadership. The next leader is elected when it has settled, so end it soon. Work that settles by itself leaves the office as it is;
   * work that fails is logged and gives the office to the next, with a pause before this process stands again.
   *
   * ```ts
   * locks.leader('outbox').lead(async ({ signal, fencingToken }) => {
   *   while (!signal.aborted) await this.publishBatch(fencingToken, signal);
   * });
   * ```
   *
   * @returns how to have it left out of the terms to come
   */
  lead(work: LeaderWork): () => void {
    return this.election.lead(work);
  }

  /**
   * Leads no more, and stands no more until `campaign()`.
   *
   * @returns a promise of the hand-over, which follows when the leader's work has settled. Called by that work itself, it resolves at once:
   *   return soon, and the office is handed over then
   */
  resign(): Promise<void> {
    return this.election.resign();
  }

  /** Stands again after `resign()`, at the end of the line. */
  campaign(): void {
    this.election.campaign();
  }
}

import type { Claim, LockBackend } from '../backends/backend.js';
import type { Duration } from '../lock/duration.js';
import { QuestionQueue } from './asking/question-queue.js';
import type { LockInstrumentation } from '../lock/instrumentation.js';
import type { Labels } from '../lock/labels.js';
import { ReleaseRetries } from './asking/release-retries.js';
import { Endings } from './holding/endings.js';
import { Holds } from './holding/holds.js';
import type { Family, FamilyTools } from './leases/family.js';
import { HeldKeyChanges } from './leases/held-key-changes.js';
import { KeyFamily } from './leases/key-family.js';
import type { Lease } from './leases/lease.js';
import { LettingGo } from './leases/letting-go.js';
import { LocalHandOver } from './leases/local-hand-over.js';
import { SessionFamily } from './leases/session-family.js';
import { Watchdog } from './leases/watchdog.js';
import { Withdrawals } from './leases/withdrawals.js';
import type { EventListeners } from './telling/listeners.js';
import { observing } from './telling/observing.js';
import type { Clock } from './time/clock.js';
import { Pacer } from './time/pacer.js';
import { TimerQueue } from './time/timer-queue.js';
import { Acquisitions } from './waiting/acquisitions.js';

export interface AssemblyOptions {
  readonly backend: LockBackend;
  /** The backend's name in the module. */
  readonly backendName: string;
  /** Names this process on the server. The owners of its claims begin with it. */
  readonly instance: string;
  /** The prefix of every key on the server. */
  readonly prefix: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** Time limit of a single call to the server, in milliseconds. */
  readonly callTimeout: number;
  readonly listeners: EventListeners;
  /** Observes every call for a lock. */
  readonly instrumentations: readonly LockInstrumentation[];
  /** Checks a ttl from the user, in milliseconds. */
  readonly ttlOf: (ttl: Duration) => number;
  /** An acquisition or a hold has ended. */
  readonly onEnd: () => void;
}

/** The parts of an engine that the engine itself calls. */
export interface Assembly {
  readonly acquisitions: Acquisitions;
  readonly holds: Holds;
  readonly family: Family;
  readonly watchdog: Watchdog;
  readonly retries: ReleaseRetries;
  /** Makes an owner for a new claim. */
  readonly nextOwner: () => string;
}

/** Assembles the rooms of an engine, the lower ones first. */
export function assemble(options: AssemblyOptions): Assembly {
  const { backend, backendName, instance, prefix, clock, random, callTimeout, listeners, ttlOf, onEnd } = options;
  const { emit } = listeners;
  const questions = new QuestionQueue(clock, backend.atOnce);
  const retries = new ReleaseRetries(clock, callTimeout, questions);
  const watchdog: Watchdog = new Watchdog({
    clock,
    random,
    callTimeout,
    renew: (leases) => family.renew(leases),
    nodeOf: nodeOf(backend),
  });
  const family = familyOf(backend, { clock, callTimeout, watchdog, retries });
  const onUnknown = ({ key, owner, name, method }: Claim & Partial<Labels>, error: unknown): void =>
    emit('release-unknown', () => ({
      type: 'release-unknown',
      key: key.slice(prefix.length),
      backend: backendName,
      owner,
      name,
      method,
      error,
    }));
  const withdrawals = new Withdrawals({ clock, retries, family, onUnknown });
  const handOver = new LocalHandOver(instance, backend.family === 'key' && backend.handOver !== undefined, {
    clock,
    family,
    watchdog,
    onUnknown,
  });
  const lettingGo = new LettingGo(handOver, family, withdrawals);
  const changes = new HeldKeyChanges({ clock, callTimeout, watchdog, family });
  const endings = new Endings();
  const holds = new Holds({ clock, backendName, changes, lettingGo, listeners, endings, ttlOf }, onEnd);
  const pacer = new Pacer(clock);
  let claims = 0;
  const nextOwner = (): string => `${instance}:${++claims}`;
  const acquisitions = new Acquisitions(
    {
      clock,
      random,
      callTimeout,
      backend,
      backendName,
      family,
      questions,
      retries,
      handOver,
      withdrawals,
      prefix,
      emit,
      endings,
      observe: observing(options.instrumentations),
      looks: new TimerQueue(clock, false, (waits) => {
        for (const wait of waits) pacer.run(() => wait.wake());
      }),
      pacer,
      nextOwner,
      onAcquired: (held, options, observer) => holds.begin(held, options, observer),
    },
    onEnd,
  );
  return { acquisitions, holds, family, watchdog, retries, nextOwner };
}

function familyOf(backend: LockBackend, tools: FamilyTools): Family {
  return backend.family === 'key' ? new KeyFamily(backend, tools) : new SessionFamily(backend, tools);
}

/** The server that has a lease, where there are several. */
function nodeOf(backend: LockBackend): ((lease: Lease) => string | undefined) | undefined {
  if (backend.family !== 'key' || !backend.nodeOf) return undefined;
  return ({ subject }) => ('claim' in subject ? backend.nodeOf?.(subject.claim.key) : undefined);
}

import { type Duration, toMilliseconds } from '../../lock/duration.js';
import { LockConfigurationError } from '../../lock/errors.js';
import { checkOptionNames } from '../../lock/option-names.js';
import type { KeyBackend, LockBackend, LockMode, Surroundings, Traits } from '../backend.js';
import { QuorumBackend } from './quorum-backend.js';
import { systemClock } from './system-clock.js';

/** Options of `quorum()`, and of `redlock()` over clients or addresses. Durations are milliseconds or strings such as `'250ms'`. */
export interface QuorumOptions {
  /**
   * How long one server's answer is waited for. A server that needs longer counts as out of reach until it answers again; a lock takes at
   * most some of these. Give a few times of what the slowest server needs on a bad day.
   * @default '250ms'
   */
  readonly nodeTimeout?: Duration;
  /**
   * How far two clocks may run apart, as a share of the lease. The engine keeps back 1 % of each lease by itself; for more than that the
   * servers are asked for longer leases than are believed. It is about the pace of clocks and not about what they show.
   * @default 0.01
   */
  readonly drift?: number;
  /**
   * Gives each lock a fencing token that grows over all servers. It costs a second round: each server counts by itself, and the highest count is
   * stored at a majority before the lock is given out. There are no shared locks then.
   * @default false
   */
  readonly fencing?: boolean;
}

const NAMES: ReadonlySet<string> = new Set(['nodeTimeout', 'drift', 'fencing']);

/** What the engine keeps back of a lease by itself. */
const OWN_DRIFT = 0.01;

/**
 * A lock that a majority of independent backends grants: with five of them any two may fail. Name them in the same order everywhere.
 *
 * ```ts
 * DistributedLockModule.forRoot({ backend: quorum([redis({ url: a }), redis({ url: b }), redis({ url: c })]) })
 * ```
 *
 * @throws LockConfigurationError when the options make no sense, or a backend cannot be one of a quorum
 */
export function quorum(backends: readonly LockBackend[], options: QuorumOptions = {}): LockBackend {
  checkOptionNames('quorum()', options, NAMES);
  return quorumOf(backends, options, { kind: 'quorum' });
}

/** What `redlock()` adds to a quorum. */
export interface QuorumExtras {
  readonly kind: string;
  /** The longest lease in milliseconds that the servers' own safeguards allow for. */
  readonly maxTtl?: number;
}

export function quorumOf(
  backends: readonly LockBackend[],
  options: QuorumOptions,
  { kind, maxTtl }: QuorumExtras,
): QuorumBackend {
  const { drift = OWN_DRIFT, fencing = false, nodeTimeout = '250ms' } = options;
  const nodeTimeoutMs = toMilliseconds('nodeTimeout', nodeTimeout);
  if (nodeTimeoutMs < 1) throw new LockConfigurationError('`nodeTimeout` must be at least 1 ms.');
  if (typeof drift !== 'number' || !(drift >= 0 && drift < 1)) {
    throw new LockConfigurationError(
      `\`drift\` is ${String(drift)}; it is how far clocks may run apart, as a share of the lease from 0 up to 1.`,
    );
  }
  if (typeof fencing !== 'boolean')
    throw new LockConfigurationError(`\`fencing\` is ${JSON.stringify(fencing)}; it is true or false.`);
  const members = backends.map((backend, index) => memberOf(backend, index, backends, fencing));
  if (members.length === 0)
    throw new LockConfigurationError(`${kind}() needs servers: three or five of them, on machines of their own.`);
  const make = (surroundings?: Surroundings): QuorumBackend => {
    const lent = surroundings ?? { clock: systemClock, random: Math.random };
    return new QuorumBackend({
      kind,
      // Each application has connections of its own.
      members: surroundings ? members.map((member) => applicationsOwn(member, surroundings)) : members,
      names: namesOf(members),
      traits: traitsOf(members, fencing, maxTtl),
      nodeTimeoutMs,
      stretch: Math.max(1, (1 - OWN_DRIFT) / (1 - drift)),
      fencing,
      surroundings: lent,
      forApplication: make,
    });
  };
  return make();
}

function applicationsOwn(member: KeyBackend, surroundings: Surroundings): KeyBackend {
  const own = member.forApplication?.(surroundings) ?? member;
  return own.family === 'key' ? own : member;
}

function memberOf(backend: LockBackend, index: number, all: readonly LockBackend[], fencing: boolean): KeyBackend {
  const which = `The backend ${index + 1} of the quorum (${backend.kind})`;
  if (all.indexOf(backend) !== index)
    throw new LockConfigurationError(`${which} is named twice, and its vote would count twice. Name each server once.`);
  if (backend.family !== 'key') {
    throw new LockConfigurationError(
      `${which} keeps its locks by sessions. It agrees on them by itself, and needs no quorum: take it alone.`,
    );
  }
  if (!backend.traits.fifo)
    throw new LockConfigurationError(`${which} keeps no line of waiters, which a quorum waits in. Take another one.`);
  if (fencing && !(backend.traits.fencing && backend.handOver)) {
    throw new LockConfigurationError(
      `${which} cannot store a fencing token. Leave \`fencing\` out, or take another backend.`,
    );
  }
  return backend;
}

/** What all of them can do, and a majority can keep. */
function traitsOf(members: readonly KeyBackend[], fencing: boolean, maxTtl: number | undefined): Traits {
  const all = members.map(({ traits }) => traits);
  // The token of a reader cannot be stored: others may hold the key beside it.
  const modes: readonly LockMode[] = fencing ? ['exclusive'] : ['exclusive', 'shared'];
  const longest = [maxTtl, ...all.map(({ maxTtl }) => maxTtl)].filter((ttl) => ttl !== undefined);
  return {
    fencing,
    fifo: true,
    modes: modes.filter((mode) => all.every((traits) => traits.modes.includes(mode))),
    // With a limit of n at each of five servers more than n could have a majority.
    semaphores: false,
    minTtl: Math.max(...all.map(({ minTtl }) => minTtl)),
    ...(longest.length > 0 && { maxTtl: Math.min(...longest) }),
    minHold: all.every(({ minHold }) => minHold !== false),
    survivesFailover: false,
  };
}

/** For messages: where each is, or what it is, and its number where that does not tell them apart. */
function namesOf(members: readonly KeyBackend[]): readonly string[] {
  const names = members.map(({ address, kind }) => address ?? kind);
  return names.map((name, index) =>
    names.filter((other) => other === name).length > 1 ? `${name} (${index + 1})` : name,
  );
}

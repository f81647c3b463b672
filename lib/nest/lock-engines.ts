import { type BeforeApplicationShutdown, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { LockBackend } from '../backends/backend.js';
import { memory } from '../backends/memory/index.js';
import { NoAnswerError } from '../engine/asking/ask.js';
import { LockEngine } from '../engine/engine.js';
import { LockBackendError, LockConfigurationError } from '../lock/errors.js';
import { LockLog } from './log/lock-log.js';
import type { AcquireOptions } from '../lock/lock.js';
import { watchForSigterm } from './sigterm.js';
import { lockThoughBypassed, locksAreBypassed } from './service/bypass.js';
import type { DistributedLockOptions } from './distributed-lock.options.js';
import type { LockBackends } from './lock-backends.js';
import { Elections } from './service/elections.js';
import type { LockLifecycle } from './service/lock-lifecycles.js';
import { LockService } from './service/lock.service.js';
import type { Application } from './service/application.js';
import { wireValues } from './locked/wire-values.js';
import { DEFAULT_BACKEND } from './service/lock.tokens.js';

/** Options of a test, which win over all other options. */
export interface LocksUnderTest {
  /** In the place of every backend. @default a `memory()` for each */
  readonly backend?: LockBackend | undefined;
  readonly shutdownGraceMs: number;
  readonly overrides: AcquireOptions;
}

/**
 * The engines of one `forRoot`, and their life with the application: asked for an answer first of all at the start; at the end no more
 * waiting before the servers close, and let go when the requests in flight are done.
 */
export class LockEngines implements LockLifecycle, OnModuleInit, BeforeApplicationShutdown, OnApplicationShutdown {
  readonly #engines = new Map<string, LockEngine>();
  readonly #logs = new Map<string, LockLog>();
  readonly #elections: Elections[] = [];
  readonly #services = new Map<string, LockService>();
  #closing: Promise<void> | undefined;
  readonly #logger = new Logger('DistributedLockModule');
  readonly #graceMs: number;
  readonly #prefix: string;
  readonly #stops: (() => void)[] = [];
  #stopWatching: (() => void) | undefined;

  constructor(
    private readonly backends: LockBackends,
    { prefix = 'lock:', defaults, profiles, onShutdown }: DistributedLockOptions,
    underTest: LocksUnderTest | undefined,
    private readonly application: Application,
  ) {
    this.#prefix = prefix;
    this.#graceMs = underTest?.shutdownGraceMs ?? backends.shutdownGraceMs;
    for (const [name, given] of backends.backends) {
      const backend = underTest?.backend ?? (underTest !== undefined || locksAreBypassed() ? memory() : given);
      const engine = new LockEngine(backend, {
        name,
        prefix,
        // Durations are checked by the engine, here and now.
        defaults: { ...(onShutdown !== undefined && { onShutdown }), ...(defaults as AcquireOptions | undefined) },
        ...(profiles !== undefined && { profiles: profiles as Readonly<Record<string, AcquireOptions>> }),
        instrumentations: backends.instrumentations,
      });
      this.#logs.set(name, new LockLog(engine, backends.log, this.#logger));
      const elections = new Elections(engine);
      this.#engines.set(name, engine);
      this.#elections.push(elections);
      const service = new LockService(engine, elections, underTest?.overrides);
      if (underTest !== undefined) lockThoughBypassed(service);
      this.#services.set(name, service);
    }
  }

  /** The name of the default backend. */
  get defaultName(): string {
    return this.backends.defaultName ?? DEFAULT_BACKEND;
  }

  service(name: string): LockService {
    const service = this.#services.get(name);
    if (service !== undefined) return service;
    throw new LockConfigurationError(
      `There is no lock backend "${name}". Known: ${[...this.#services.keys()].join(', ')}.`,
    );
  }

  async onModuleInit(): Promise<void> {
    this.#stops.push(wireValues(this.application));
    for (const instrumentation of this.backends.instrumentations) {
      for (const service of this.#services.values()) {
        const stop = instrumentation.onBackend?.(service);
        if (stop) this.#stops.push(stop);
      }
    }
    if (!this.backends.checkAtBoot) return;
    const answers = await Promise.allSettled([...this.#engines.values()].map(firstPing));
    const silent = answers.find((answer) => answer.status === 'rejected');
    if (silent === undefined) return this.#tellWarnings();
    // Nest runs no shutdown hooks after a failed boot, and our connections would try to connect for ever.
    await this.#close(0);
    throw silent.reason;
  }

  async #tellWarnings(): Promise<void> {
    if (!this.backends.log.boot) return;
    const warnings = [...this.#engines].map(async ([name, engine]) => {
      const label = this.#engines.size > 1 ? `"${name}": ` : '';
      for (const warning of await engine.warnings()) this.#logger.warn(label + warning);
    });
    await Promise.all(warnings);
  }

  reportBoot(locks: ReadonlyMap<string, number>): void {
    if (!this.backends.log.boot) return;
    const lines = [...this.#engines].map(([name, { backend }]) => {
      const asDefault = name === this.defaultName && name !== DEFAULT_BACKEND ? (locks.get(DEFAULT_BACKEND) ?? 0) : 0;
      const count = (locks.get(name) ?? 0) + asDefault;
      const label = this.#engines.size > 1 || name !== DEFAULT_BACKEND ? `"${name}": ` : '';
      const methods = `${count} locked method${count === 1 ? '' : 's'}`;
      return `${label}${backend.kind}${backend.address ? ` at ${backend.address}` : ''}, ${methods}`;
    });
    this.#logger.log(`Locks on ${lines.join('; ')}; prefix "${this.#prefix}".`);
  }

  openElections(): void {
    const kinds = [...this.#engines.values()].map(({ backend }) => backend.kind);
    if (kinds.some((kind) => kind !== 'memory')) this.#stopWatching ??= watchForSigterm(this.#logger);
    for (const elections of this.#elections) elections.open();
  }

  /** First of all: leaders hand over, and work that asked for it (`onShutdown: 'abort'`) is told while all that it needs is still there. */
  async beginShutdown(): Promise<void> {
    this.#stopWatching?.();
    for (const log of this.#logs.values()) log.closing(this.#graceMs);
    await Promise.all([
      ...this.#elections.map((elections) => elections.close(this.#graceMs)),
      ...[...this.#engines].map(([name, engine]) =>
        engine.shutDown(this.#graceMs, () => this.#logs.get(name)?.graceOver()),
      ),
    ]);
  }

  /** Nobody waits any more while the servers close. Leaders have handed over already. */
  async beforeApplicationShutdown(): Promise<void> {
    const handedOver = this.beginShutdown();
    for (const engine of this.#engines.values()) engine.drain();
    await handedOver;
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#close(this.#graceMs);
  }

  #close(graceMs: number): Promise<void> {
    return (this.#closing ??= this.#closeAll(graceMs));
  }

  /** Each on its own: one backend that cannot close must not keep the locks of another. */
  async #closeAll(graceMs: number): Promise<void> {
    this.#stopWatching?.();
    for (const stop of this.#stops) stop();
    await Promise.all(
      [...this.#engines].map(async ([name, engine]) => {
        const log = this.#logs.get(name);
        try {
          await engine.close(graceMs);
        } catch (error) {
          this.#logger.error(`The lock backend "${name}" did not close cleanly.`, error);
        }
        log?.closed();
      }),
    );
  }
}

/** Once more after silence: while an application starts, its process is often too busy to hear an answer in time. */
async function firstPing(engine: LockEngine): Promise<void> {
  try {
    await engine.ping();
  } catch (error) {
    const wasSilent = error instanceof LockBackendError && error.cause instanceof NoAnswerError;
    if (!wasSilent) throw error;
    await engine.ping();
  }
}

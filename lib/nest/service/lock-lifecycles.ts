import type { Application } from './application.js';
import { processWide } from './process-wide.js';

/** One `forRoot`, as its application starts and ends. */
export interface LockLifecycle {
  /** The application has started, with so many locked methods on each backend. */
  reportBoot(locks: ReadonlyMap<string, number>): void;
  openElections(): void;
  /** Resolves when the leaders' work has settled, or their time is over. */
  beginShutdown(): Promise<void>;
  beforeApplicationShutdown(): Promise<void>;
  onApplicationShutdown(): Promise<void>;
}

/** All of them in one application. Those that a `LazyModuleLoader` brings later get no hooks from Nest. */
class LockLifecycles {
  readonly #all = new Set<LockLifecycle>();
  readonly #late = new Set<LockLifecycle>();
  #opened = false;

  add(lifecycle: LockLifecycle): void {
    this.#all.add(lifecycle);
    if (!this.#opened) return;
    this.#late.add(lifecycle);
    lifecycle.openElections();
  }

  reportBoot(locks: ReadonlyMap<string, number>): void {
    for (const each of this.#all) each.reportBoot(locks);
  }

  /** The application has started. */
  open(): void {
    this.#opened = true;
    for (const each of this.#all) each.openElections();
  }

  /** `open`, where the lock module itself came late. */
  openLate(): void {
    for (const each of this.#all) this.#late.add(each);
    this.open();
  }

  async beginShutdown(): Promise<void> {
    await Promise.all([...this.#all].map((each) => each.beginShutdown()));
  }

  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all([...this.#late].map((each) => each.beforeApplicationShutdown()));
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all([...this.#late].map((each) => each.onApplicationShutdown()));
  }
}

const byApplication = processWide('lifecycles', () => new WeakMap<Application, LockLifecycles>());

export function lockLifecyclesOf(application: Application): LockLifecycles {
  const known = byApplication.get(application) ?? new LockLifecycles();
  byApplication.set(application, known);
  return known;
}

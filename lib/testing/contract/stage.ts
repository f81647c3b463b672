import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import type { Traits } from '../../backends/backend.js';
import { LockEngine } from '../../engine/engine.js';
import { LockConfigurationError } from '../../lock/errors.js';
import type { LockEvent } from '../../lock/events.js';
import type { AcquireOptions, Lock } from '../../lock/lock.js';
import { type HistoryRules, violations } from './history.js';
import type { BackendFixture, Faults } from './fixture.js';
import { eventually, within } from './patience.js';
import type { Recorder } from './recorder.js';
import { Port } from './wish.js';
import { Wire } from './wire.js';

/** A lease that outlives any test: what is free before its end was not freed by it. */
export const LONG = 60_000;

/** Sooner than the 30 s that a test runner is asked to give, so that it is told what hangs and what was held is given back. */
const LONGEST = 27_000;

const PREFIX = 'contract:';

/** The processes of one test. Each engine has a backend of its own, as if it ran in another pod. */
export class Stage {
  private readonly closers: (() => Promise<unknown>)[] = [];
  private readonly wires: Wire[] = [];

  private constructor(
    private readonly fixture: BackendFixture,
    /** A process that takes no part and looks at the server itself. */
    readonly observer: Port,
  ) {}

  /** Runs a test with a stage of its own and clears it away, however the test ends. */
  static async run(fixture: BackendFixture, test: (stage: Stage) => Promise<void>): Promise<void> {
    const unhandled = listenForUnhandled();
    try {
      const stage = new Stage(fixture, await newPort(fixture));
      try {
        await within(LONGEST, 'the test ended', test(stage));
      } finally {
        await stage.clear();
      }
    } finally {
      unhandled.stop();
    }
    assert.deepEqual(unhandled.reasons, [], 'a rejection that nobody handled');
  }

  get traits(): Traits {
    return this.observer.backend.traits;
  }

  get faults(): Faults {
    return this.fixture.faults ?? {};
  }

  /** A short lease that the server keeps faithfully. */
  get ttl(): number {
    return this.fixture.ttl;
  }

  /** A round trip to the server. */
  get rtt(): number {
    return this.fixture.rtt ?? 0;
  }

  get tokensOutliveData(): boolean {
    return this.fixture.tokensOutliveData ?? false;
  }

  get rules(): HistoryRules {
    return { fifo: this.traits.fifo, fencing: this.traits.fencing };
  }

  /** A key that no other test uses. */
  key(label = 'key'): string {
    return `${label}-${randomBytes(6).toString('hex')}`;
  }

  fullKey(key: string): string {
    return PREFIX + key;
  }

  /** One more process with an engine. */
  async engine(options: { wire?: Wire; callTimeout?: number } = {}): Promise<LockEngine> {
    const { wire = new Wire(), ...rest } = options;
    const backend = await this.fixture.create();
    const engine = new LockEngine(wire.to(backend), { prefix: PREFIX, ...rest });
    this.wires.push(wire);
    this.closers.push(async () => {
      await engine.close(0);
      await backend.close();
    });
    return engine;
  }

  async engines(count: number): Promise<LockEngine[]> {
    return Promise.all(Array.from({ length: count }, () => this.engine()));
  }

  /** One more process without an engine. */
  async port(): Promise<Port> {
    const port = await newPort(this.fixture);
    this.closers.push(() => port.close());
    return port;
  }

  /** Whether the server says that nobody holds the key and nobody waits for it. */
  async untouched(key: string): Promise<boolean> {
    const { holders, waiting } = await this.observer.backend.inspect(this.fullKey(key));
    return holders.length === 0 && waiting === 0;
  }

  /** Waits until nothing of these keys, or nothing at all, is left on the server, not even what nobody asks for any more. */
  async assertNoResidue(...keys: string[]): Promise<void> {
    for (const key of keys) await eventually(`nobody holds ${key} or waits for it`, () => this.untouched(key));
    let left: string[] = [];
    const clean = async () => {
      const all = (await this.faults.residue?.()) ?? [];
      left = keys.length > 0 ? all.filter((one) => keys.some((key) => one.includes(key))) : all;
      return left.length === 0;
    };
    await eventually('nothing is left on the server', clean).catch(() => undefined);
    assert.deepEqual(left, [], 'left on the server');
  }

  /** Judges what the recorder saw by what the backend says of itself. */
  assertCorrect(recorder: Recorder, rules: Partial<HistoryRules> = {}): void {
    const found = violations(recorder.history(), { ...this.rules, ...rules });
    if (found.length > 0) assert.fail([`The history has ${found.length} violations:`, ...found.slice(0, 5)].join('\n'));
  }

  private async clear(): Promise<void> {
    for (const wire of this.wires) wire.heal();
    await Promise.allSettled(this.closers.map((close) => within(5_000, 'a process of the test closed', close())));
    await this.observer.close();
  }
}

const listening = new Set<unknown[]>();
const onUnhandled = (reason: unknown) => listening.forEach((reasons) => reasons.push(reason));

/** With one listener for all tests that run beside each other: Node warns of a leak from the eleventh on. */
function listenForUnhandled() {
  const reasons: unknown[] = [];
  if (listening.size === 0) process.on('unhandledRejection', onUnhandled);
  listening.add(reasons);
  const stop = () => {
    listening.delete(reasons);
    if (listening.size === 0) process.off('unhandledRejection', onUnhandled);
  };
  return { reasons, stop };
}

async function newPort(fixture: BackendFixture): Promise<Port> {
  return new Port(await fixture.create(), `contract-${randomBytes(4).toString('hex')}`, fixture.ttl);
}

/** An acquisition that stands in line. A wrapper, for a bare promise would be awaited too early. */
export interface Waiting {
  readonly lock: Promise<Lock>;
}

/** Asks for a busy key and comes back when the server has answered that it is busy. */
export async function standInLine(
  engine: LockEngine,
  key: string | readonly string[],
  options: AcquireOptions = {},
): Promise<Waiting> {
  const waiting = nextEvent(engine, (event) => event.type === 'waiting');
  const lock = engine.acquire(key, { wait: LONG, ...options });
  const early = lock.then(() => {
    throw new Error(`${String(key)} was expected to be busy and was free.`);
  });
  early.catch(() => undefined);
  await Promise.race([waiting, early]);
  return { lock };
}

/** The next event of the engine that `fits`. */
export function nextEvent(engine: LockEngine, fits: (event: LockEvent) => boolean): Promise<LockEvent> {
  return new Promise((resolve) => {
    const stop = engine.listen((event) => {
      if (!fits(event)) return;
      stop();
      resolve(event);
    });
  });
}

/** Resolves when the lock's signal has aborted. */
export function loss(lock: Lock): Promise<unknown> {
  return new Promise((resolve) => {
    const lost = () => resolve(lock.signal.reason);
    if (lock.signal.aborted) lost();
    else lock.signal.addEventListener('abort', lost, { once: true });
  });
}

/** The wish can never come true, is refused at once, and says why in these words. */
export async function assertRefused(wish: Promise<unknown>, ...words: (string | RegExp)[]): Promise<void> {
  await within(
    5_000,
    'a configuration error',
    assert.rejects(wish, (error: unknown) => {
      assert(error instanceof LockConfigurationError, `a LockConfigurationError and not ${String(error)}`);
      for (const word of words)
        assert.match(error.message, typeof word === 'string' ? new RegExp(`(?<!\\d)${word}(?!\\d)`) : word);
      return true;
    }),
  );
}

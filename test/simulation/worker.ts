import {
  LockBackendError,
  LockClosedError,
  LockConfigurationError,
  LockLostError,
  LockTimeoutError,
} from '../../lib/lock/errors.js';
import type { AcquireOptions, Lock } from '../../lib/lock/lock.js';
import type { Belief, Beliefs } from './beliefs.js';
import type { Dice } from './dice.js';
import { shortOwner, type Simulated } from './process.js';
import type { Key, Scenario } from './scenario.js';

/** What a run shares with those who work in it. */
export interface Stage {
  readonly scenario: Scenario;
  readonly dice: Dice;
  readonly beliefs: Beliefs;
  readonly report: (violation: string) => void;
  readonly trace: (line: string) => void;
  /** Nothing new is begun any more. */
  readonly over: boolean;
  /** Keeps an eye on a call: it has to settle within so many milliseconds in which its process runs. */
  watch<T>(what: Call, call: Promise<T>): Promise<T>;
}

/** A call of the engine that has to come to an end. */
export interface Call {
  readonly process: Simulated;
  readonly name: string;
  /** In milliseconds in which the process runs; may be `Infinity`. */
  readonly within: number;
  /** The keys it waits for, if it may wait. */
  readonly keys: readonly string[];
}

interface Wish {
  readonly keys: readonly Key[];
  readonly options: AcquireOptions & { readonly wait: number; readonly ttl: number };
  /** The caller loses patience after so long, in milliseconds. */
  readonly abortAfter: number | undefined;
  readonly work: number;
}

/** Locks, works and lets go until time is up. */
export async function work(stage: Stage, process: Simulated): Promise<void> {
  const { dice } = stage;
  while (!stage.over) {
    await process.sleep(dice.between(0, 100));
    if (stage.over || process.closing) return;
    const wish = drawWish(dice, stage.scenario);
    if (dice.chance(0.1) && isPlain(wish)) {
      await workNested(stage, process, wish);
      continue;
    }
    const lock = await acquire(stage, process, wish);
    if (lock) await workUnder(stage, process, lock, wish);
  }
}

function isPlain({ keys, options: { mode, limit } }: Wish): boolean {
  return keys.length === 1 && mode === 'exclusive' && limit === 1;
}

/** Works under a lock, and in a call inside of it under the same one, which may go on when the outer one has ended. */
async function workNested(stage: Stage, process: Simulated, { keys, options, work: length }: Wish): Promise<void> {
  const { beliefs, dice, report, trace } = stage;
  const names = keys.map(({ name }) => name);
  const isAwaited = dice.chance(0.5);
  let inner: Promise<unknown> | undefined;
  process.called++;
  const outer = process.engine.withLock(
    names,
    async (lock) => {
      trace(`${process.name} nests ${lock.key} ${shortOwner(lock.owner)}`);
      const belief = beliefs.enter(process, lock, 1);
      belief.lease = options.ttl;
      const inside = async (): Promise<void> => {
        await process.sleep(length / 2);
        beliefs.leave(belief);
        const { reason } = lock.signal as { reason?: unknown };
        // A loss has a code.
        if (reason instanceof LockLostError && reason.reasonCode === undefined)
          report(`${process.name}: ${lock.key} was let go under nested work`);
      };
      inner = process.engine
        .withLock(names, inside)
        .catch((error: unknown) => expected(error, report))
        .finally(() => beliefs.leave(belief));
      await process.sleep(length / 4);
      if (isAwaited) await inner;
    },
    options,
  );
  await outer.catch((error: unknown) => {
    const isClosed = error instanceof LockClosedError && process.closing;
    if (!isClosed && !(error instanceof LockTimeoutError)) expected(error, report);
  });
  await inner;
}

function drawWish(dice: Dice, { keys, ttls, fair, clashes, restarts }: Scenario): Wish {
  const key = dice.pick(keys);
  const others = keys.filter(({ limit, name }) => limit === key.limit && name !== key.name);
  const several = others.length > 0 && dice.chance(0.25);
  const ttl = dice.pick(ttls);
  const wait = dice.weighted({ none: 3, short: 5, long: 5, endless: 4 });
  const clashing = !several && dice.chance(clashes) ? (key.limit % 3) + 1 : key.limit;
  const minHold = dice.chance(0.08) ? dice.whole(10, 200) : 0;
  return {
    keys: several ? [key, ...others] : [key],
    options: {
      wait: { none: 0, short: dice.whole(20, 400), long: dice.whole(500, 2_500), endless: Infinity }[wait],
      ttl,
      mode: clashing === 1 && key.kind === 'file' && dice.chance(several ? 0.2 : 0.6) ? 'shared' : 'exclusive',
      limit: clashing,
      renew: !dice.chance(0.1),
      minHold,
      ...(!fair && { fair }),
      ...(dice.chance(0.08) && { maxHold: minHold + dice.whole(20, 500) }),
    },
    abortAfter: dice.chance(0.1) ? dice.whole(0, 500) : undefined,
    // Where data is lost, some work for longer than what they had is believed in without a server.
    work: dice.chance(restarts ? 0.3 : 0.15)
      ? dice.between(0, Math.min(1_200, 2 * ttl) * (restarts ? 2 : 1))
      : dice.between(0, 60),
  };
}

async function acquire(stage: Stage, process: Simulated, wish: Wish): Promise<Lock | undefined> {
  const { callTimeout } = stage.scenario;
  const { engine } = process;
  const names = wish.keys.map(({ name }) => name);
  const patience = new AbortController();
  const reason = new Error('the caller lost patience');
  const impatient = wish.abortAfter !== undefined;
  if (impatient) process.after(wish.abortAfter, () => patience.abort(reason));
  const options = { ...wish.options, ...(impatient && { signal: patience.signal }) };
  process.called++;
  stage.trace(`${process.name} acquire ${names.join('+')} ${options.mode} wait ${options.wait} ttl ${options.ttl}`);
  const within = options.wait + 6 * callTimeout + 250;
  const call = { process, name: `acquire ${names.join(' + ')}`, within, keys: options.wait === Infinity ? names : [] };
  try {
    if (options.wait === 0 && stage.dice.chance(0.5)) {
      const lock = await stage.watch(call, engine.tryAcquire(names, options));
      return lock ?? undefined;
    }
    return await stage.watch(call, engine.acquire(names, options));
  } catch (error) {
    if (error instanceof LockTimeoutError || error instanceof LockBackendError) return undefined;
    if (error instanceof LockClosedError && process.closing) return undefined;
    if (error === reason && patience.signal.aborted) return undefined;
    const clashed = error instanceof LockConfigurationError && error.message.includes('but is in use as');
    if (clashed && stage.scenario.clashes > 0) return undefined;
    stage.report(`${process.name}: acquire ended with ${String(error)}`);
    return undefined;
  }
}

async function workUnder(stage: Stage, process: Simulated, lock: Lock, { options, work: length }: Wish): Promise<void> {
  const { beliefs, dice, report, scenario, trace } = stage;
  const belief = beliefs.enter(process, lock, options.limit ?? 1);
  belief.lease = options.ttl;
  trace(`${process.name} holds ${lock.key} ${shortOwner(lock.owner)} #${[...lock.fencingTokens.values()].join(' #')}`);
  const bound = 3 * scenario.callTimeout + 250;
  const { maxHold } = options;
  if (maxHold !== undefined)
    void process.sleep(Number(maxHold) + 2).then(() => check(belief, report, `held beyond its maxHold of ${maxHold}`));
  await process.sleep(length / 2);
  if (dice.chance(0.15)) {
    const call = { process, name: `extend ${lock.key}`, within: bound, keys: [] };
    const ttl = Math.round(options.ttl * dice.pick([0.3, 1, 3]));
    belief.lease = Math.max(belief.lease, ttl);
    await stage.watch(call, lock.extend(ttl)).catch((error: unknown) => expected(error, report));
  }
  if (options.mode === 'exclusive' && options.limit === 1 && dice.chance(0.06)) {
    belief.mode = 'shared';
    // A question without the engine's time limit: it may never be answered.
    const call = { process, name: `downgrade ${lock.key}`, within: bound * lock.keys.length, keys: [] };
    await stage.watch(call, lock.downgrade()).catch((error: unknown) => expected(error, report));
  }
  await process.sleep(length / 2);
  if (belief.told) trace(`${process.name} was told of the loss of ${lock.key} ${shortOwner(lock.owner)}`);
  beliefs.leave(belief);
  const told = belief.told || !lock.held;
  trace(`${process.name} releases ${lock.key} ${shortOwner(lock.owner)}`);
  const call = { process, name: `release ${lock.key}`, within: bound, keys: [] };
  const ours = await stage.watch(call, lock.release());
  // Closing lets go of it first, and then tells.
  if (ours && told && !process.closing) report(`${process.name}: a lost lock on ${lock.key} was released as held`);
}

function check({ told, lock, process }: Belief, report: (violation: string) => void, what: string): void {
  if (!told && lock.held) report(`${process.name}: ${lock.key} is ${what}`);
}

function expected(error: unknown, report: (violation: string) => void): void {
  const clashed = error instanceof LockConfigurationError && error.message.includes('but is in use as');
  if (!(error instanceof LockLostError) && !(error instanceof LockBackendError) && !clashed)
    report(`under the lock: ${String(error)}`);
}

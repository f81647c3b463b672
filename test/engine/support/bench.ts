import { onTestFinished } from 'vitest';
import type { LockBackend } from '../../../lib/backends/backend.js';
import { memoryOn } from '../../../lib/backends/memory/index.js';
import { LockTable } from '../../../lib/backends/memory/lock-table.js';
import { type EngineOptions, LockEngine } from '../../../lib/engine/engine.js';
import type { LockEvent } from '../../../lib/lock/events.js';
import { type Question, Wire } from '../../../lib/testing/contract/wire.js';
import { VirtualClock } from '../../simulation/virtual-clock.js';

/** One engine as a process of the bench. */
export interface Process {
  readonly engine: LockEngine;
  /** Its clock, which can be frozen. */
  readonly clock: VirtualClock;
  /** What lies between it and the server. */
  readonly wire: Wire;
  readonly events: LockEvent[];
  /** What it asked the server, and when. */
  readonly asked: { readonly question: Question; readonly at: number }[];
}

/** A lock server in virtual time, and processes with an engine each. */
export class Bench {
  readonly clock = new VirtualClock();
  readonly table = new LockTable(() => this.clock.now());

  /** One more process. Its first promise on the server is `server`; without one it is the table itself. `rate`: how fast its clock runs. */
  process({
    server = memoryOn(this.table),
    rate = 1,
    ...options
  }: EngineOptions & { readonly server?: LockBackend; readonly rate?: number } = {}): Process {
    const clock = this.clock.process({ rate });
    const wire = new Wire();
    const asked: Process['asked'] = [];
    const events: LockEvent[] = [];
    // Seen on the far side of whatever a test does to the wire.
    const seen = new Wire();
    seen.ask = (question, send) => {
      asked.push({ question, at: this.clock.now() });
      return wire.ask(question, send);
    };
    seen.push = (deliver) => wire.push(() => clock.receive(deliver));
    const engine = new LockEngine(seen.to(server), { clock, random: () => 0.5, prefix: '', ...options });
    engine.listen((event) => void events.push(event));
    onTestFinished(() => this.#clear(engine, wire, clock));
    return { engine, clock, wire, events, asked };
  }

  /** Whether the server has nothing of that key, neither a holder nor a waiter. */
  isUntouched(key: string): boolean {
    const { holders, waiting } = this.table.inspect(key);
    return holders.length === 0 && waiting === 0;
  }

  holders(key: string): string[] {
    return this.table.inspect(key).holders.map(({ owner }) => owner);
  }

  async #clear(engine: LockEngine, wire: Wire, clock: VirtualClock): Promise<void> {
    wire.heal();
    clock.thaw();
    await this.clock.run(engine.close(0));
  }
}

/** Whatever is asked is lost on its way, and the call never ends. */
export const silence = (): Promise<never> => new Promise(() => undefined);

/** The answers to that question are held back until they are let through; the others pass. */
export function holdAnswers(wire: Wire, held: Question): { readonly letThrough: () => void } {
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  wire.ask = async (question, send) => {
    const answer = await send();
    if (question === held) await gate;
    return answer;
  };
  return { letThrough: open };
}

/** The requests of that question are held back until they are let through; the others pass. */
export function holdRequests(wire: Wire, held: Question): { readonly letThrough: () => void } {
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  wire.ask = async (question, send) => {
    if (question === held) await gate;
    return send();
  };
  return { letThrough: open };
}

/** Whether a promise has settled by now. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  const first = await Promise.race([
    promise.catch(() => undefined),
    new Promise((resolve) => process.nextTick(resolve, pending)),
  ]);
  return first !== pending;
}

import { quorum } from '../../../lib/backends/redlock/index.js';
import { LockEngine } from '../../../lib/engine/engine.js';
import { FaultyNetwork } from '../../../lib/testing/faulty-network.js';
import type { Dice } from '../dice.js';
import { shortOwner, type Simulated } from '../process.js';
import type { Quality } from '../scenario.js';
import type { VirtualClock } from '../virtual-clock.js';
import type { QuorumScenario } from './scenario.js';
import type { QuorumServer } from './server.js';

/** One process: an engine over a quorum, with a bad network of its own to each of the servers. */
export class QuorumProcess implements Simulated {
  readonly clock: VirtualClock;
  readonly networks: readonly FaultyNetwork[];
  readonly engine: LockEngine;
  /** How each call of this engine ended, by its events. */
  readonly ended: Record<string, number> = {};
  called = 0;
  closing: Promise<void> | undefined;
  #stoodStill = 0;
  #timers = 0;
  #frozenAt: number | undefined;

  constructor(
    readonly name: string,
    private readonly world: VirtualClock,
    servers: readonly QuorumServer[],
    { ordered, nodeTimeout, fencing }: QuorumScenario,
    quality: Quality,
    dice: Dice,
    trace: (line: string) => void,
  ) {
    this.clock = world.process({ rate: dice.between(0.996, 1.004), offset: dice.between(0, 1e6) });
    const { random } = dice;
    this.networks = servers.map(
      () => new FaultyNetwork({ quality, clock: world, random, ordered, receive: (run) => this.clock.receive(run) }),
    );
    const backends = servers.map((server, index) => this.networks[index]!.to(server.backend()));
    this.engine = new LockEngine(quorum(backends, { nodeTimeout, fencing }), {
      clock: this.clock,
      random,
      prefix: '',
      name,
    });
    this.engine.listen((event) => {
      this.ended[event.type] = (this.ended[event.type] ?? 0) + 1;
      const error = 'error' in event ? ` (${String(event.error)})` : '';
      trace(`${name} ${event.type} ${event.key} ${shortOwner(event.owner)}${error}`);
    });
  }

  get stoodStill(): number {
    return this.#stoodStill + (this.#frozenAt === undefined ? 0 : this.world.now() - this.#frozenAt);
  }

  freeze(): void {
    this.clock.freeze();
    this.#frozenAt ??= this.world.now();
  }

  thaw(): void {
    this.#stoodStill = this.stoodStill;
    this.#frozenAt = undefined;
    this.clock.thaw();
  }

  after(ms: number, run: () => void): () => void {
    this.#timers++;
    const cancel = this.clock.after(ms, () => {
      this.#timers--;
      run();
    });
    return () => {
      this.#timers--;
      cancel();
    };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve));
  }

  /** Timers that the engine and its quorum have set. */
  get engineTimers(): number {
    return this.clock.pending - this.#timers;
  }

  close(graceMs: number): Promise<void> {
    return (this.closing ??= this.engine.close(graceMs));
  }
}

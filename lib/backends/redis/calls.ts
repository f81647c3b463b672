import { isRefusal, type Run, strangeAnswer } from './link.js';
import { type Protocol, RELEASES, type Script } from './protocol/index.js';

interface Call {
  readonly script: Script;
  readonly keys: readonly string[];
  readonly args: readonly string[];
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** How many go in one script: enough to share its cost, few enough for the server to begin while more are being made. */
const TOGETHER = 16;

/**
 * Attempts, releases and takeovers on their way to one server. One that comes alone, while nothing is on its way, goes at once. While the
 * server is at work anyway, or where more can be expected to follow, whatever one turn of the event loop asks for goes together: a
 * script for many costs both sides far less than many scripts.
 *
 * It also keeps together in line those who were: if the first of them went ahead, waiters of other processes would come
 * between, more of them each time round, until hardly anybody is followed by one of its own process, to whom it could hand the key on.
 */
export class Calls {
  #onTheWay = 0;
  /** In this turn several were answered, and those who asked them go on: more often than not to the next question. */
  #manyAnswered = false;
  #gathered: Call[] = [];

  /** @param apart each goes by itself and at once */
  constructor(
    private readonly run: Run,
    private readonly protocol: Pick<Protocol, 'attempt' | 'release' | 'takeOver' | 'together'>,
    private readonly apart: boolean,
  ) {}

  /** The answer of ATTEMPT to these arguments. */
  attempt(keys: readonly string[], args: readonly string[]): Promise<unknown> {
    return this.#ask(this.protocol.attempt, keys, args);
  }

  /** The answer of RELEASE to these arguments. */
  release(keys: readonly string[], args: readonly string[]): Promise<unknown> {
    return this.#ask(this.protocol.release, keys, args);
  }

  /** The answer of a takeover to these arguments. The key is handed on already, and maybe further in the same turn: nobody waits for it. */
  takeOver(keys: readonly string[], args: readonly string[]): Promise<unknown> {
    const { takeOver } = this.protocol;
    return this.apart ? this.run(takeOver, keys, args) : this.#later(takeOver, keys, args);
  }

  #ask(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    if (this.apart) return this.run(script, keys, args);
    // Those that wait for the end of the turn are not overtaken: a release may belong to one of them.
    const first = this.#onTheWay === 0 && this.#gathered.length === 0;
    return first && !this.#manyAnswered ? this.#alone(script, keys, args) : this.#later(script, keys, args);
  }

  /** At the end of the turn, with all that come until then. */
  #later(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    return new Promise((resolve, reject) => this.#gather({ script, keys, args, resolve, reject }));
  }

  #alone(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    this.#onTheWay++;
    return this.run(script, keys, args).then(this.#answered, this.#failed);
  }

  readonly #answered = (answer: unknown): unknown => {
    this.#onTheWay--;
    return answer;
  };

  readonly #failed = (error: unknown): never => {
    this.#onTheWay--;
    throw error;
  };

  #gather(call: Call): void {
    const count = this.#gathered.push(call);
    if (count === 1) process.nextTick(() => this.#sendGathered());
    else if (count === TOGETHER) this.#sendGathered();
  }

  #sendGathered(): void {
    const calls = this.#gathered;
    this.#gathered = [];
    this.#send(calls);
  }

  #send(calls: readonly Call[]): void {
    if (calls.length < 2) return this.#sendAlone(calls);
    this.#onTheWay++;
    this.#runTogether(calls)
      .then(this.#answered, this.#failed)
      .then(
        (answers) => this.#deliver(calls, answers),
        (error: unknown) => {
          // Refused for the sake of one, none of them was done: each learns for itself. Without an answer, nobody knows of any.
          if (isRefusal(error)) this.#sendAlone(calls);
          else for (const call of calls) call.reject(error);
        },
      );
  }

  #sendAlone(calls: readonly Call[]): void {
    for (const { script, keys, args, resolve, reject } of calls) this.#alone(script, keys, args).then(resolve, reject);
  }

  #runTogether(calls: readonly Call[]): Promise<unknown> {
    const { release, together } = this.protocol;
    const keys: string[] = [];
    const args: string[] = [];
    for (const call of calls) {
      keys.push(...call.keys);
      if (call.script === release) args.push(call.args[0] ?? '', call.args[1] ?? '0', RELEASES + (call.args[2] ?? ''));
      else args.push(...call.args);
    }
    return this.run(together, keys, args);
  }

  #deliver(calls: readonly Call[], answers: unknown): void {
    if (!Array.isArray(answers) || answers.length === 0) {
      for (const call of calls) call.reject(strangeAnswer(answers));
      return;
    }
    this.#manyAnswered = true;
    process.nextTick(() => (this.#manyAnswered = false));
    for (const [index, answer] of answers.entries()) calls[index]?.resolve(answer);
    // The one behind these failed: it learns why when the rest is asked for.
    this.#send(calls.slice(answers.length));
  }
}

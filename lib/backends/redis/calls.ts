import { strangeAnswer } from './answers.js';
import type { Run } from './link.js';
import { type Protocol, RELEASES, type Script } from './protocol/index.js';
import { isRefusal } from './refusals.js';

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

  /**
   * The answer of RELEASE to these arguments.
   * @param from the owners whom they name as those that it took the key over from
   */
  release(keys: readonly string[], args: readonly string[], from: readonly string[]): Promise<unknown> {
    return this.#ask(this.protocol.release, keys, args, from);
  }

  /**
   * The answer of a takeover to these arguments.
   * @param from the owners whom they name as those that it took the key over from
   */
  takeOver(keys: readonly string[], args: readonly string[], from: readonly string[]): Promise<unknown> {
    return this.#ask(this.protocol.takeOver, keys, args, from);
  }

  #ask(script: Script, keys: readonly string[], args: readonly string[], from?: readonly string[]): Promise<unknown> {
    if (this.apart) return this.run(script, keys, args);
    // Those that wait for the end of the turn are not overtaken: a release may belong to one of them.
    const first = this.#onTheWay === 0 && this.#gathered.length === 0;
    // Nobody waits for a takeover: the key is handed on already, and maybe further in the same turn.
    const more = this.#manyAnswered || script === this.protocol.takeOver;
    if (first && !more) return this.#alone(script, keys, args);
    return new Promise((resolve, reject) => this.#gather({ script, keys, args, resolve, reject }, from));
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

  #gather(call: Call, from: readonly string[] = []): void {
    // Where the key went on from there in the same turn, the server need not hear of that owner by itself.
    const stale =
      from.length === 0 ? -1 : this.#gathered.findLastIndex((before) => this.#isTakenOver(before, call, from));
    const [before] = stale < 0 ? [] : this.#gathered.splice(stale, 1);
    if (before) {
      this.#gathered.push(this.#forBoth(call, before));
      return;
    }
    const count = this.#gathered.push(call);
    if (count === 1) process.nextTick(() => this.#sendGathered());
    else if (count === TOGETHER) this.#sendGathered();
  }

  /** Whether it is the takeover of an owner that the key goes on from with this call. */
  #isTakenOver({ script, keys, args: [owner = ''] }: Call, call: Call, from: readonly string[]): boolean {
    if (script !== this.protocol.takeOver || keys[0] !== call.keys[0]) return false;
    return owner === call.args[0] || from.includes(owner);
  }

  /** What the server says of the key's last owner, held or not, it says of the one before as well, who goes first as ever. */
  #forBoth(call: Call, before: Call): Call {
    const resolve = (answer: unknown): void => {
      this.#expectMore();
      before.resolve(Array.isArray(answer) ? answer[0] : answer);
      call.resolve(answer);
    };
    const reject = (error: unknown): void => {
      before.reject(error);
      call.reject(error);
    };
    return { ...call, resolve, reject };
  }

  /** Until the end of this turn. */
  #expectMore(): void {
    if (this.#manyAnswered) return;
    this.#manyAnswered = true;
    process.nextTick(() => (this.#manyAnswered = false));
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
    if (!Array.isArray(answers) || answers.length === 0 || answers.length > calls.length) {
      for (const call of calls) call.reject(strangeAnswer(answers));
      return;
    }
    this.#expectMore();
    for (const [index, answer] of answers.entries()) calls[index]?.resolve(answer);
    // The one behind these failed: it learns why when the rest is asked for.
    this.#send(calls.slice(answers.length));
  }
}

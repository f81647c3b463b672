import { strangeAnswer } from './answers.js';
import type { Run } from './link.js';
import type { Protocol } from './protocol/index.js';
import { argumentsAlone, argumentsTogether, type Question, type TakeOverQuestion } from './questions.js';
import { isRefusal } from './refusals.js';

/** A question whose asker waits for the answer. */
interface Call {
  readonly question: Question;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** How many go in one script: enough to share its cost, few enough for the server to begin while the next ones are made. */
const TOGETHER = 16;

/**
 * Sends attempts, releases and takeovers to one server. A question that comes alone, while none is on its way, goes at once. While the
 * server is busy anyway, or when more questions are likely to follow, all questions of one turn of the event loop share a script: one script for
 * many costs both sides far less than many scripts.
 *
 * It also keeps the waiters of this process together in line. If the first of them went ahead, waiters of other processes would come
 * in between, more of them each time. In the end hardly any owner could hand its key to the next of its own process.
 */
export class Batcher {
  #onTheWay = 0;
  /** In this turn several questions were answered, and their askers probably ask the next ones. */
  #manyAnswered = false;
  #gathered: Call[] = [];

  /** @param apart sends each question by itself and at once */
  constructor(
    private readonly run: Run,
    private readonly protocol: Pick<Protocol, 'attempt' | 'release' | 'takeOver' | 'together'>,
    private readonly apart: boolean,
  ) {}

  /** Resolves to the answer of the verb's script. */
  ask(question: Question): Promise<unknown> {
    if (this.apart) return this.#run(question);
    // A question never overtakes those that wait for the end of the turn: a release may belong to one of them.
    const first = this.#onTheWay === 0 && this.#gathered.length === 0;
    // Nothing waits for a takeover: the key has gone on already, and may go further in the same turn.
    const more = this.#manyAnswered || question.verb === 'takeOver';
    if (first && !more) return this.#alone(question);
    return new Promise((resolve, reject) => this.#gather({ question, resolve, reject }));
  }

  #run(question: Question): Promise<unknown> {
    return this.run(this.protocol[question.verb], question.keys, argumentsAlone(question));
  }

  #alone(question: Question): Promise<unknown> {
    this.#onTheWay++;
    return this.#run(question).then(this.#answered, this.#failed);
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
    const outdated = this.#takeOutdated(call.question);
    if (outdated) {
      this.#gathered.push(this.#forBoth(call, outdated));
      return;
    }
    const count = this.#gathered.push(call);
    if (count === 1) process.nextTick(() => this.#sendGathered());
    else if (count === TOGETHER) this.#sendGathered();
  }

  /** Takes out the takeover of an owner that the key goes on from with this question. The server need not hear of that owner. */
  #takeOutdated(question: Question): Call | undefined {
    if (question.verb === 'attempt' || question.from.length === 0) return undefined;
    const at = this.#gathered.findLastIndex(
      (before) => before.question.verb === 'takeOver' && goesOnFrom(question, before.question),
    );
    return at < 0 ? undefined : this.#gathered.splice(at, 1)[0];
  }

  /** The server's answer about the last owner of the key, held or not, also answers the question about the owner before it. */
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
          // A script that was refused because of one question has done none, so each is asked by itself. Without an answer, nobody knows.
          if (isRefusal(error)) this.#sendAlone(calls);
          else for (const call of calls) call.reject(error);
        },
      );
  }

  #sendAlone(calls: readonly Call[]): void {
    for (const { question, resolve, reject } of calls) this.#alone(question).then(resolve, reject);
  }

  #runTogether(calls: readonly Call[]): Promise<unknown> {
    const keys = calls.flatMap(({ question }) => question.keys);
    const args = calls.flatMap(({ question }) => argumentsTogether(question));
    return this.run(this.protocol.together, keys, args);
  }

  #deliver(calls: readonly Call[], answers: unknown): void {
    if (!Array.isArray(answers) || answers.length === 0 || answers.length > calls.length) {
      for (const call of calls) call.reject(strangeAnswer(answers));
      return;
    }
    this.#expectMore();
    for (const [index, answer] of answers.entries()) calls[index]?.resolve(answer);
    // The question behind these failed. It learns why when the rest is asked.
    this.#send(calls.slice(answers.length));
  }
}

/** Whether this question is of the owner that took the key over, or of one that came after it. */
function goesOnFrom(question: Exclude<Question, { verb: 'attempt' }>, { keys, owner }: TakeOverQuestion): boolean {
  return keys[0] === question.keys[0] && (owner === question.owner || question.from.includes(owner));
}

import type { Attempt, Claim, KeyState, LockBackend, Session, Waiter } from '../../lib/backends/backend.js';
import { within } from '../../lib/testing/contract/patience.js';

const TTL = 120_000;

/** Milliseconds until a push counts as lost. */
const PATIENCE = 10_000;

/** The locks of one server as two processes see them, whichever family the backend is of. Answers are words that can be compared. */
export class Table {
  readonly #told = new Map<string, Awaited>();

  private constructor(
    private readonly pods: readonly LockBackend[],
    private readonly sessions: readonly (Session | undefined)[],
  ) {}

  /** @param make the backend as a process of its own would make it */
  static async open(make: () => LockBackend): Promise<Table> {
    const pods = [make(), make()].map((backend) => backend.forApplication?.() ?? backend);
    const sessions: (Session | undefined)[] = [];
    for (const pod of pods) {
      await pod.ping();
      sessions.push(pod.family === 'session' ? await pod.open(TTL) : undefined);
    }
    return new Table(pods, sessions);
  }

  async close(): Promise<void> {
    for (const session of this.sessions) await session?.end();
    for (const pod of this.pods) await pod.close();
  }

  get traits(): LockBackend['traits'] {
    return this.#pod(0).traits;
  }

  get can(): { readonly renew: boolean; readonly takeAll: boolean; readonly handOver: boolean } {
    const pod = this.#pod(0);
    return {
      renew: pod.family === 'key',
      takeAll: pod.attemptAll !== undefined,
      handOver: pod.family === 'key' && pod.handOver !== undefined,
    };
  }

  async attempt(pod: number, claim: Claim, joins: boolean): Promise<string> {
    const [backend, waiter] = [this.#pod(pod), joins ? this.#waiterOf(pod, claim) : undefined];
    const answer =
      backend.family === 'key'
        ? await backend.attempt(claim, waiter)
        : await backend.attempt(claim, this.#session(pod), waiter);
    if (answer.granted || !joins) this.#told.delete(claim.owner);
    return wordsOf(answer);
  }

  /** Resolves when every holder knows that it holds: one who waited for it hears of it, or is asked to look, and looks. */
  async heard({ key, holders }: KeyState & { readonly key: string }): Promise<void> {
    for (const { owner } of holders) {
      const told = this.#told.get(owner);
      if (!told) continue;
      const word = await within(PATIENCE, `${owner} holds ${key} and is told`, told.came);
      if (word === 'granted') this.#told.delete(owner);
      else if ((await this.attempt(told.pod, told.claim, true)) !== 'granted')
        throw new Error(`${owner} looked in vain.`);
    }
  }

  async attemptAll(pod: number, claims: readonly Claim[]): Promise<string> {
    const backend = this.#pod(pod);
    const answer =
      backend.family === 'key'
        ? await backend.attemptAll?.(claims)
        : await backend.attemptAll?.(claims, this.#session(pod));
    if (answer === undefined) return 'not in one step';
    return 'granted' in answer ? wordsOf(answer) : `granted ${answer.length}`;
  }

  async release(pod: number, claim: Claim): Promise<boolean> {
    const backend = this.#pod(pod);
    return backend.family === 'key' ? backend.release(claim) : backend.release(claim, this.#session(pod));
  }

  async renew(pod: number, claims: readonly Claim[]): Promise<string> {
    const backend = this.#pod(pod);
    if (backend.family !== 'key') throw new TypeError('A session is renewed as a whole.');
    return (await backend.renew(claims)).join();
  }

  async downgrade(pod: number, claim: Claim): Promise<boolean | undefined> {
    const backend = this.#pod(pod);
    return backend.family === 'key' ? backend.downgrade?.(claim) : backend.downgrade?.(claim, this.#session(pod));
  }

  forceRelease(key: string): Promise<boolean> {
    return this.#pod(0).forceRelease(key);
  }

  inspect(key: string): Promise<KeyState> {
    return this.#pod(0).inspect(key);
  }

  /** With a token as the process would count it on from the holder's. */
  async takeOver(pod: number, claim: Claim, from: readonly string[]): Promise<string> {
    const { holders } = await this.inspect(claim.key);
    this.#told.delete(claim.owner);
    const token = holders.find(({ owner }) => from.includes(owner))?.fencingToken ?? 0n;
    return this.#handOver(pod).takeOver(claim, from, token + BigInt(from.length));
  }

  releaseFor(pod: number, claim: Claim, from: readonly string[]): Promise<boolean> {
    return this.#handOver(pod).release(claim, from);
  }

  #waiterOf(pod: number, claim: Claim): Waiter {
    let tell = (_: Word): void => undefined;
    const came = new Promise<Word>((resolve) => (tell = resolve));
    this.#told.set(claim.owner, { pod, claim, came });
    return { granted: () => tell('granted'), look: () => tell('look') };
  }

  #pod(pod: number): LockBackend {
    const backend = this.pods[pod];
    if (!backend) throw new RangeError(`There is no process ${pod}.`);
    return backend;
  }

  #session(pod: number): Session {
    const session = this.sessions[pod];
    if (!session) throw new TypeError('Only a session backend has sessions.');
    return session;
  }

  #handOver(pod: number) {
    const backend = this.#pod(pod);
    if (backend.family !== 'key' || !backend.handOver) throw new TypeError(`${backend.kind} hands nothing over.`);
    return backend.handOver;
  }
}

type Word = 'granted' | 'look';

/** A claim that waits, and the word that is to come. */
interface Awaited {
  readonly pod: number;
  readonly claim: Claim;
  readonly came: Promise<Word>;
}

function wordsOf(answer: Attempt): string {
  if (answer.granted) return 'granted';
  return 'limit' in answer ? `conflict with ${answer.limit}` : 'busy';
}

/** Who holds and who waits, as it can be compared: holders are in no order, waiters are. */
export function pictureOf({ mode, limit, holders, waiting, waiters = [] }: KeyState): string {
  const number = ({ owner }: { readonly owner: string }): string => owner.slice(owner.lastIndexOf(':') + 1);
  const held = holders.length > 0 ? `${mode} ${limit}: ${holders.map(number).toSorted().join(' ')}` : 'free';
  return `${held}, ${waiting} waiting: ${waiters.map(number).join(' ')}`;
}

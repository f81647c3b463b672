import { type NodeFailure, QuorumError } from './failure.js';

/** What a majority of yes and no comes to. */
export class Tally {
  #yes = 0;
  #no = 0;

  constructor(
    private readonly nodes: number,
    private readonly majority: number,
  ) {}

  count(answer: boolean | undefined): void {
    if (answer === true) this.#yes++;
    else if (answer === false) this.#no++;
  }

  /** `undefined` while the rest may still tip it, or for ever, where too few answered. */
  get outcome(): boolean | undefined {
    if (this.#yes >= this.majority) return true;
    return this.#no > this.nodes - this.majority ? false : undefined;
  }
}

/** One question to one server. */
export interface Poll<T> {
  readonly node: string;
  readonly answer: Promise<T>;
}

/** All answers that there are, at least those of a majority. @throws QuorumError when they are fewer */
export async function answersOf<T>(polls: readonly Poll<T>[], majority: number): Promise<readonly Answer<T>[]> {
  const answers = await Promise.all(
    polls.map(async ({ node, answer }): Promise<Answer<T>> => {
      try {
        return { node, value: await answer };
      } catch (error) {
        return { node, error };
      }
    }),
  );
  const failures = answers.filter((answer): answer is NodeFailure => 'error' in answer);
  if (polls.length - failures.length < majority) throw new QuorumError(failures, polls.length);
  return answers;
}

export type Answer<T> = { readonly node: string; readonly value: T } | NodeFailure;

/**
 * Resolves as soon as the answers decide it. Rejects with one error for each server that did not answer, when it stays undecided.
 * @param polls what each server says: yes or no
 */
export function decide(polls: readonly Poll<boolean>[], majority: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const tally = new Tally(polls.length, majority);
    const failures: NodeFailure[] = [];
    let open = polls.length;
    const look = (): void => {
      if (tally.outcome !== undefined) resolve(tally.outcome);
      else if (--open === 0) reject(new QuorumError(failures, polls.length));
    };
    for (const { node, answer } of polls) {
      answer.then(
        (yes) => {
          tally.count(yes);
          look();
        },
        (error: unknown) => {
          failures.push({ node, error });
          look();
        },
      );
    }
  });
}

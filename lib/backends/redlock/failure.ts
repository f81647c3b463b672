import { messageOf } from '../../lock/messages.js';

/** One server did not answer in time. What it was asked may still reach it. */
export class NoAnswerError extends Error {
  constructor(milliseconds: number) {
    super(`no answer within ${Math.round(milliseconds)} ms`);
    this.name = 'NoAnswerError';
  }
}

/** Why a server that did not answer lately was not asked. */
export const OUT_OF_REACH = 'it does not answer at present';

/** Why one server gave no answer. */
export interface NodeFailure {
  readonly node: string;
  readonly error: unknown;
}

/** Too few servers answered to decide anything. `errors` has one error for each that did not; its message begins with the server. */
export class QuorumError extends AggregateError {
  constructor(failures: readonly NodeFailure[], nodes: number) {
    super(
      failures.map(({ node, error }) => new Error(`${node}: ${messageOf(error)}`, { cause: error })),
      `${failures.length} of ${nodes} servers gave no answer (${failures.map(({ node, error }) => `${node}: ${messageOf(error)}`).join('; ')})`,
    );
    this.name = 'QuorumError';
  }
}

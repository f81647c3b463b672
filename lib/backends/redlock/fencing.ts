import type { Contender, Seat } from './contender.js';
import { type NodeFailure, QuorumError } from './failure.js';

/**
 * The second round of an acquisition with `fencing`: each server gave a token of its own, and the highest of them is stored at a majority. The
 * next majority shares a server with this one, so its highest is higher; without the round the two majorities would know of nothing in common.
 * Resolves to why it failed, or to nothing.
 *
 * @param until the votes that count last until then
 */
export async function storeToken(contender: Contender, until: number, majority: number): Promise<Error | undefined> {
  const votes = contender.seats.filter((seat) => seat.until >= until);
  const { fencingToken: own } = contender;
  // Asked once more by the one who holds it: nobody else was in between.
  if (own !== undefined && having(votes, own) >= majority) return undefined;
  let highest = 0n;
  for (const { fencingToken } of votes)
    if (fencingToken !== undefined && fencingToken > highest) highest = fencingToken;
  const failures = await stored(contender, votes, highest, majority);
  if (failures) return new QuorumError(failures, contender.seats.length);
  contender.fencingToken = highest;
  return undefined;
}

const having = (seats: readonly Seat[], token: bigint): number =>
  seats.filter(({ fencingToken }) => fencingToken === token).length;

function stored(
  contender: Contender,
  votes: readonly Seat[],
  token: bigint,
  majority: number,
): Promise<readonly NodeFailure[] | undefined> {
  return new Promise((resolve) => {
    const failures: NodeFailure[] = [];
    const lacking = votes.filter(({ fencingToken }) => fencingToken !== token);
    let open = lacking.length;
    const look = (): void => {
      if (having(votes, token) >= majority) resolve(undefined);
      else if (open === 0) resolve(failures);
    };
    look();
    for (const seat of lacking) {
      const { node, number } = seat;
      const store = async (): Promise<void> => {
        const answer = await node.ask(async () => node.backend.handOver?.takeOver(contender.claimAt(seat), [], token));
        if (number !== seat.number || answer === undefined || answer === 'gone') throw new Error('its vote was lost');
        seat.fencingToken = token;
      };
      store()
        .catch((error: unknown) => failures.push({ node: node.name, error }))
        .finally(() => {
          open--;
          look();
        });
    }
  });
}

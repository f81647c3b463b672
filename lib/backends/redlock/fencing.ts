import type { Contender } from './contender.js';
import { decide, type Poll } from './tally.js';

/**
 * The second round of an acquisition with `fencing`: each server gave a token of its own, and the highest of them is stored at a majority. The
 * next majority shares a server with this one, so its highest is higher; without the round the two majorities would know of nothing in common.
 *
 * @param until the votes that count last until then
 * @throws QuorumError when too few stored it
 */
export async function storeToken(contender: Contender, until: number, majority: number): Promise<void> {
  const voted = contender.seats.filter((seat) => seat.until >= until);
  const { fencingToken: own } = contender;
  // Asked once more by the one who holds it: nobody else was in between.
  if (own !== undefined && voted.filter(({ fencingToken }) => fencingToken === own).length >= majority) return;
  let highest = 0n;
  for (const { fencingToken } of voted)
    if (fencingToken !== undefined && fencingToken > highest) highest = fencingToken;
  const polls = contender.seats.map((seat): Poll<boolean> => {
    const { node, number } = seat;
    const store = async (): Promise<boolean> => {
      if (!voted.includes(seat)) throw new Error('it gave no vote');
      if (seat.fencingToken === highest) return true;
      const answer = await node.ask(async () => node.backend.handOver?.takeOver(contender.claimAt(seat), [], highest));
      if (number !== seat.number || answer === undefined || answer === 'gone') throw new Error('its vote was lost');
      seat.fencingToken = highest;
      return true;
    };
    return { node: node.name, answer: store() };
  });
  await decide(polls, majority);
  contender.fencingToken = highest;
}

import type { Claim } from '../backend.js';
import { strangeAnswer } from './answers.js';
import { hashTag, sharedOf } from './keys.js';
import { type RedisLink, whole } from './link.js';
import type { Protocol } from './protocol/index.js';
import { isTryAgain } from './refusals.js';

/** Keeps leases alive: as many as are due in one script, in a cluster those of a slot. */
export class Renewals {
  constructor(
    private readonly link: RedisLink,
    private readonly protocol: Protocol,
  ) {}

  /** Whether each is still held; `undefined` where that could not be asked. */
  async renew(claims: readonly Claim[]): Promise<readonly (boolean | undefined)[]> {
    const { slotOf } = this.link;
    if (!slotOf) return this.#together(claims);
    // A slot may be out of reach while the others are not.
    const bySlot = new Map<number, Claim[]>();
    for (const claim of claims) {
      const slot = slotOf(hashTag(claim.key));
      const others = bySlot.get(slot);
      if (others) others.push(claim);
      else bySlot.set(slot, [claim]);
    }
    const held = new Map<Claim, boolean | undefined>();
    await Promise.all(
      [...bySlot.values()].map(async (together) => {
        const answer = await this.#inSlot(together);
        for (const [index, claim] of together.entries()) held.set(claim, answer[index]);
      }),
    );
    return claims.map((claim) => held.get(claim));
  }

  async #inSlot(claims: readonly Claim[]): Promise<readonly (boolean | undefined)[]> {
    try {
      return await this.#together(claims);
    } catch (error) {
      // Each alone can be renewed also while the slot is on its way to another node.
      if (claims.length === 1 || !isTryAgain(error)) return [];
      return (await Promise.all(claims.map((claim) => this.#inSlot([claim])))).map(([held]) => held);
    }
  }

  async #together(claims: readonly Claim[]): Promise<readonly boolean[]> {
    if (claims.length === 0) return [];
    // The line is no matter of a renewal, and whose it is goes in one argument: there are so many of them that each counts.
    const keys: string[] = [];
    let whose = '';
    for (const { key, owner, ttl } of claims) {
      const tag = hashTag(key);
      keys.push(tag, sharedOf(tag));
      whose += `${owner} ${whole(ttl)} `;
    }
    const answer = await this.link.run(this.protocol.renew, keys, [whose]);
    if (typeof answer !== 'string' || answer.length !== claims.length || /[^01]/.test(answer))
      throw strangeAnswer(answer);
    return claims.map((_, index) => answer[index] === '1');
  }
}

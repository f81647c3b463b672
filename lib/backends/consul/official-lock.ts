import type { Claim } from '../backend.js';
import type { View } from '../line/driver.js';
import type { ConsulPlace, Entry } from './layout.js';
import type { ConsulSession, Server } from './session.js';
import type { Operation } from './transactions.js';

/** What `consul lock` and Go's `api.Lock` mark their entry with. A JSON number is too short for it in JavaScript, so it is a text here. */
const LOCK_FLAGS = '3304740253564472344';
/** The same for `consul lock -n 3` and Go's `api.Semaphore`. */
const SEMAPHORE_FLAGS = '16210313421097356768';

/** How often the gate may change hands while a claim reaches for it, before it waits for the next look. */
const ROUNDS = 3;

/** The places ahead of a claim, and its own place with what it has of the gate. */
type Passed = Pick<View<ConsulPlace>, 'own' | 'ahead'>;

/**
 * The one entry that `consul lock` knows of a lock, `<folder>/.lock`: the gate. A holder of ours has it as well as its place in our
 * line, so the two sorts of clients exclude each other. It is taken by whoever is foremost in our line, and never from anybody.
 *
 * A gate without a session is free. One with other flags is somebody's semaphore, or no lock at all: that is a conflict, and it is
 * left alone.
 */
export class OfficialLock {
  constructor(private readonly server: Pick<Server, 'layout' | 'writes' | 'nonce'>) {}

  /** Takes the gate in the transaction that takes the place, if nobody has an entry there. */
  takeNew(claim: Claim, session: ConsulSession): readonly Operation[] {
    return [{ Verb: 'check-not-exists', Key: this.#gate(claim.key) }, this.#lock(claim, session)];
  }

  /** Gives the gate back, in the transaction that gives the place back. It fails where the session does not have it. */
  giveBack(key: string, session: ConsulSession): readonly Operation[] {
    const Key = this.#gate(key);
    return [session.checkPlace(Key), { Verb: 'delete', Key }];
  }

  isAbout(key: string, { Key }: Pick<Operation, 'Key'>): boolean {
    return Key === this.#gate(key);
  }

  /** Puts a foreign gate in front of the line, and takes one that is free for a claim that is foremost. */
  async pass(
    claim: Claim,
    session: ConsulSession,
    { own, ahead }: Passed,
    read: readonly Entry[],
    readAgain: () => Promise<readonly Entry[]>,
  ): Promise<Passed> {
    let entries = read;
    for (let round = 0; ; round++) {
      const gate = this.#entryOf(claim.key, entries);
      if (own && gate && gate.Session === session.id && ownerOf(gate) === claim.owner) {
        if (ahead.length > 0) {
          // It came by while the gate was open, but others were first.
          await this.server.writes.run({ key: claim.key, build: () => removalOf(gate) });
          return { own, ahead };
        }
        session.hasGate(claim);
        return { own: { ...own, gated: true }, ahead };
      }
      const foreign = this.#foreign(gate);
      if (foreign) return { own, ahead: [foreign, ...ahead] };
      if (!own || ahead.length > 0) return { own, ahead };
      const isTaken = gate?.Session !== undefined && gate.Session !== session.id;
      if (gate && (isTaken || round === ROUNDS)) return { own, ahead: [place(gate, 1)] };
      if (round === ROUNDS)
        throw new Error(`the entry of consul lock for '${claim.key}' came and went ${ROUNDS} times`);
      const outcome = session.learn(
        await this.server.writes.run({
          key: claim.key,
          build: () => [session.checkPlace(own.path), this.#unchanged(claim.key, gate), this.#lock(claim, session)],
        }),
      );
      if (outcome.done) {
        session.hasGate(claim);
        return { own: { ...own, gated: true }, ahead };
      }
      const delayed = [...outcome.failed.values()].some((why) => why.includes('lock delay'));
      if (delayed && gate) return { own, ahead: [place(gate, 1)] };
      entries = await readAgain();
    }
  }

  /** The whole line as everybody sees it: whoever has the gate and is not in our line comes first. */
  inFront(key: string, line: readonly ConsulPlace[], entries: readonly Entry[]): readonly ConsulPlace[] {
    const foreign = this.#foreign(this.#entryOf(key, entries));
    return foreign ? [foreign, ...line] : line;
  }

  /** How to remove the gate that one of these owners has; nothing when none of them has it. */
  removal(key: string, owners: readonly string[], entries: readonly Entry[]): readonly Operation[] {
    const gate = this.#entryOf(key, entries);
    const owner = gate && ownerOf(gate);
    if (!gate || owner === undefined || !owners.includes(owner)) return [];
    return removalOf(gate);
  }

  /** Who is in everybody's way at the gate and in no line of ours. A gate without a session is free, if it is a lock's. */
  #foreign(gate: Entry | undefined): ConsulPlace | undefined {
    if (!gate) return undefined;
    if (gate.Flags === SEMAPHORE_FLAGS) return place(gate, limitOf(gate));
    if (gate.Flags !== LOCK_FLAGS) return place(gate, NO_LOCK);
    return gate.Session === undefined || ownerOf(gate) !== undefined ? undefined : place(gate, 1);
  }

  #unchanged(key: string, gate: Entry | undefined): Operation {
    if (!gate) return { Verb: 'check-not-exists', Key: this.#gate(key) };
    return { Verb: 'check-index', Key: gate.Key, Index: gate.ModifyIndex };
  }

  #lock({ key, owner }: Claim, session: ConsulSession): Operation {
    const Value = Buffer.from(JSON.stringify({ owner, nonce: this.server.nonce() })).toString('base64');
    return { Verb: 'lock', Key: this.#gate(key), Value, Flags: LOCK_FLAGS, Session: session.id };
  }

  #entryOf(key: string, entries: readonly Entry[]): Entry | undefined {
    return entries.findLast(({ Key }) => Key === this.#gate(key));
  }

  #gate(key: string): string {
    return this.server.layout.gate(key);
  }
}

/** No claim has this limit. */
const NO_LOCK = 0;

/** Of this very entry, and of none that came after it. */
const removalOf = ({ Key, ModifyIndex }: Entry): readonly Operation[] => [
  { Verb: 'check-index', Key, Index: ModifyIndex },
  { Verb: 'delete', Key },
];

function place({ Key, Session, ModifyIndex }: Entry, limit: number): ConsulPlace {
  return {
    // Another one who takes it is another obstacle.
    owner: `consul lock, session ${Session ?? 'none'}`,
    mode: 'exclusive',
    limit,
    token: undefined,
    path: Key,
    session: Session,
    // Before the whole line: of all waiters of a process its foremost one follows what is in its way.
    created: 0,
    modified: ModifyIndex,
    ttl: Number.MAX_SAFE_INTEGER,
  };
}

/** Which claim of ours has the gate; `undefined` when none. */
function ownerOf(gate: Entry): string | undefined {
  const value = jsonOf(gate);
  return 'owner' in value && 'nonce' in value && typeof value.owner === 'string' ? value.owner : undefined;
}

/** How many may hold their semaphore. */
function limitOf(gate: Entry): number {
  const value = jsonOf(gate);
  return 'Limit' in value && typeof value.Limit === 'number' && value.Limit > 1 ? value.Limit : NO_LOCK;
}

function jsonOf({ Value }: Entry): object {
  try {
    const value: unknown = JSON.parse(Buffer.from(Value ?? '', 'base64').toString('utf8'));
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

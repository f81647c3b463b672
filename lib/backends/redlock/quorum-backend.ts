import type {
  Attempt,
  Claim,
  KeyBackend,
  KeyState,
  ListPage,
  ListQuery,
  Surroundings,
  Traits,
  Waiter,
} from '../backend.js';
import { Contenders, LONGEST_WINDOW_MS } from './contenders.js';
import { downgrade, heal } from './holding.js';
import { listPage } from './listing.js';
import { Node } from './node.js';
import { ownerOf } from './owners.js';
import { renewAll } from './renewals.js';
import { mergedState } from './states.js';
import { answersOf, decide, type Poll } from './tally.js';

export interface QuorumSettings {
  readonly kind: string;
  readonly members: readonly KeyBackend[];
  readonly names: readonly string[];
  readonly traits: Traits;
  /** How long one server's answer may take, in milliseconds. */
  readonly nodeTimeoutMs: number;
  /** How much longer than it is believed a lease is asked for, as a factor. */
  readonly stretch: number;
  readonly fencing: boolean;
  readonly surroundings: Surroundings;
  /** Makes another one like this, with connections of its own. */
  readonly forApplication: (surroundings?: Surroundings) => QuorumBackend;
}

/** How long closing waits for releases that are not confirmed, in milliseconds. */
const LAST_RELEASES_MS = 500;

/** How long a ping may take, in milliseconds. It opens the connections, with TLS and a login, which takes longer than a vote. */
const PING_MS = 1_500;

/** A lock that a majority of independent servers grants, as in Redlock. The servers are backends of ours, which know nothing of each other. */
export class QuorumBackend implements KeyBackend {
  readonly family = 'key';
  readonly kind: string;
  readonly address: string;
  readonly traits: Traits;
  readonly patienceMs: number;
  readonly forApplication: (surroundings?: Surroundings) => QuorumBackend;
  readonly downgrade?: NonNullable<KeyBackend['downgrade']>;
  readonly list?: NonNullable<KeyBackend['list']>;
  readonly #nodes: readonly Node[];
  readonly #majority: number;
  readonly #contenders: Contenders;
  readonly #lostListeners = new Set<(owner: string) => void>();
  readonly #stopListening: readonly (() => void)[];
  readonly #fencing: boolean;
  readonly #nodeTimeoutMs: number;
  readonly #surroundings: Surroundings;
  readonly #stretch: number;

  constructor(settings: QuorumSettings) {
    const { members, names, nodeTimeoutMs, surroundings, traits, stretch, fencing } = settings;
    this.kind = settings.kind;
    this.traits = traits;
    this.address = names.join(', ');
    this.forApplication = settings.forApplication;
    this.#surroundings = surroundings;
    this.#stretch = stretch;
    this.#fencing = fencing;
    this.#nodeTimeoutMs = nodeTimeoutMs;
    this.#majority = Math.floor(members.length / 2) + 1;
    // Two questions one after the other, the window for the votes of others, and a second round for the token.
    this.patienceMs = Math.max(2_000, 4 * nodeTimeoutMs + LONGEST_WINDOW_MS);
    this.#nodes = members.map(
      (member, index) =>
        new Node(member, {
          name: names[index] ?? `server ${index + 1}`,
          clock: surroundings.clock,
          limitMs: nodeTimeoutMs,
          onDoubt: (node) => this.#contenders.onDoubt(node),
        }),
    );
    this.#contenders = new Contenders({
      ...surroundings,
      nodes: this.#nodes,
      majority: this.#majority,
      stretched: this.#stretched,
      fencing,
    });
    if (traits.modes.includes('shared') && members.every(({ downgrade }) => downgrade))
      this.downgrade = ({ owner }) => downgrade(this.#contenders.get(owner), this.#majority);
    if (members.every(({ list }) => list)) this.list = (query) => this.#list(query);
    this.#stopListening = members.flatMap(
      (member) => member.onLost?.((owner) => void this.#verify(ownerOf(owner))) ?? [],
    );
  }

  async ping(): Promise<void> {
    const polls = this.#nodes.map((node) => {
      const ping = (): Promise<true> => node.backend.ping().then(() => true);
      return { node: node.name, answer: node.ask(ping, undefined, Math.max(this.#nodeTimeoutMs, PING_MS)) };
    });
    await decide(polls, this.#majority);
  }

  async warnings(): Promise<readonly string[]> {
    const polls = this.#poll(async ({ backend }) => {
      await backend.ping();
      return (await backend.warnings?.()) ?? [];
    });
    const answers = await answersOf(polls, this.#majority);
    return answers.flatMap((answer) =>
      'error' in answer
        ? [`${answer.node} does not answer. Locks need ${this.#majority} of ${this.#nodes.length} servers.`]
        : answer.value.map((warning) => `${answer.node}: ${warning}`),
    );
  }

  attempt(claim: Claim, waiter?: Waiter): Promise<Attempt> {
    return this.#contenders.attempt(claim, waiter);
  }

  renew(claims: readonly Claim[]): Promise<readonly (boolean | undefined)[]> {
    return renewAll(
      claims.map((claim) => ({ claim, contender: this.#contenders.get(claim.owner) })),
      {
        nodes: this.#nodes,
        reachable: new Set(this.#contenders.reachable()),
        majority: this.#majority,
        now: () => this.#surroundings.clock.now(),
        stretched: this.#stretched,
        heal: (contender, index, ttl) => void heal(contender, index, ttl, this.#stretched),
      },
    );
  }

  release(claim: Claim, keepMs = 0): Promise<boolean> {
    return this.#contenders.release(claim, keepMs);
  }

  async forceRelease(key: string): Promise<boolean> {
    const polls = this.#poll(({ backend }) => backend.forceRelease(key));
    const answers = await answersOf(polls, this.#majority);
    return answers.some((answer) => !('error' in answer) && answer.value);
  }

  async inspect(key: string): Promise<KeyState> {
    const polls = this.#poll(({ backend }) => backend.inspect(key));
    return mergedState(await answersOf(polls, this.#majority), this.#majority, this.#fencing);
  }

  onLost(listener: (owner: string) => void): () => void {
    this.#lostListeners.add(listener);
    return () => this.#lostListeners.delete(listener);
  }

  async close(): Promise<void> {
    for (const stop of this.#stopListening) stop();
    const { clock } = this.#surroundings;
    let cancel: (() => void) | undefined;
    const long = new Promise<void>((resolve) => (cancel = clock.after(LAST_RELEASES_MS, resolve)));
    await Promise.race([Promise.all(this.#nodes.map((node) => node.idle())), long]);
    cancel?.();
    for (const node of this.#nodes) node.close();
    await Promise.all(this.#nodes.map(({ backend }) => backend.close()));
  }

  /** A lease as the servers are asked for it. */
  readonly #stretched = (ttl: number): number => Math.ceil(ttl * this.#stretch);

  /** Somebody's lock was taken away at one server: is it lost? */
  async #verify(owner: string): Promise<void> {
    const contender = this.#contenders.get(owner);
    if (!contender?.held) return;
    const [held] = await this.renew([contender.claim]).catch(() => []);
    if (held === false && !contender.gone) for (const listener of this.#lostListeners) listener(owner);
  }

  #list(query: ListQuery): Promise<ListPage> {
    return listPage(query, this.#nodes, (key) => this.inspect(key));
  }

  #poll<T>(question: (node: Node) => Promise<T>): readonly Poll<T>[] {
    return this.#nodes.map((node) => ({ node: node.name, answer: node.ask(() => question(node)) }));
  }
}

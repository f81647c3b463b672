/** A model of a ZooKeeper ensemble: nodes in folders, numbered by the server; sessions with ephemeral nodes; watches that fire once. */

export interface Znode {
  readonly name: string;
  readonly sequence: number;
  readonly czxid: number;
  readonly session: ZnodeSession | undefined;
  data: string;
  mzxid: number;
  readonly watchers: Set<() => void>;
}

export interface ZnodeSession {
  readonly id: string;
  readonly ttl: number;
  ends: number;
  timer: NodeJS.Timeout | undefined;
  alive: boolean;
}

export class NoSessionError extends Error {}

interface Folder {
  next: number;
  readonly nodes: Map<string, Znode>;
}

export class ZnodeTree {
  readonly #folders = new Map<string, Folder>();
  readonly #sessions = new Set<ZnodeSession>();
  #zxid = 0;
  #count = 0;

  /** One question and its answer: the server handles them in the order in which they come. */
  ask<T>(question: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      setImmediate(() => {
        try {
          const answer = question();
          setImmediate(() => resolve(answer));
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  get zxid(): number {
    return this.#zxid;
  }

  open(ttl: number): ZnodeSession {
    const session: ZnodeSession = { id: String(++this.#count), ttl, ends: 0, timer: undefined, alive: true };
    this.#sessions.add(session);
    this.touch(session);
    return session;
  }

  touch(session: ZnodeSession): boolean {
    if (!session.alive) return false;
    session.ends = performance.now() + session.ttl;
    clearTimeout(session.timer);
    session.timer = setTimeout(() => this.end(session), session.ttl).unref();
    return true;
  }

  end(session: ZnodeSession): void {
    session.alive = false;
    clearTimeout(session.timer);
    this.#sessions.delete(session);
    for (const [path, { nodes }] of this.#folders) {
      for (const node of nodes.values()) if (node.session === session) this.delete(path, node.name);
    }
  }

  /** `create -s`, ephemeral with a session. */
  create(folder: string, prefix: string, data: string, session?: ZnodeSession): Znode {
    if (session && !session.alive) throw new NoSessionError();
    const { nodes } = this.#folder(folder);
    const sequence = this.#folder(folder).next++;
    const node = { ...this.#born(), name: `${prefix}${String(sequence).padStart(10, '0')}`, sequence, session, data };
    nodes.set(node.name, node);
    return node;
  }

  /** `multi`: a node goes, and another one with its number stays for so many milliseconds. */
  replace(folder: string, name: string, prefix: string, ms: number): Znode | undefined {
    const node = this.get(folder, name);
    if (!node) return undefined;
    const { nodes } = this.#folder(folder);
    const { sequence } = node;
    const kept = { ...this.#born(), name: `${prefix}${name.slice(-10)}`, sequence, session: undefined, data: '' };
    nodes.set(kept.name, kept);
    this.delete(folder, name);
    setTimeout(() => this.delete(folder, kept.name), ms).unref();
    return kept;
  }

  get(folder: string, name: string, watcher?: () => void): Znode | undefined {
    const node = this.#folders.get(folder)?.nodes.get(name);
    if (node && watcher) node.watchers.add(watcher);
    return node;
  }

  children(folder: string): readonly Znode[] {
    return [...(this.#folders.get(folder)?.nodes.values() ?? [])];
  }

  ephemerals(session: ZnodeSession): readonly { folder: string; name: string }[] {
    return [...this.#folders].flatMap(([folder, { nodes }]) =>
      [...nodes.values()].filter((node) => node.session === session).map(({ name }) => ({ folder, name })),
    );
  }

  set(folder: string, name: string, data: string): boolean {
    const node = this.get(folder, name);
    if (!node) return false;
    node.data = data;
    node.mzxid = ++this.#zxid;
    this.#fire(node);
    return true;
  }

  delete(folder: string, name: string): boolean {
    const found = this.#folders.get(folder);
    const node = found?.nodes.get(name);
    if (!found || !node) return false;
    found.nodes.delete(name);
    // A container goes when it is empty, and its numbers begin again.
    if (found.nodes.size === 0) this.#folders.delete(folder);
    this.#zxid++;
    this.#fire(node);
    return true;
  }

  /** The folders that are there. */
  get folders(): readonly string[] {
    return [...this.#folders.keys()];
  }

  #born(): { czxid: number; mzxid: number; watchers: Set<() => void> } {
    const zxid = ++this.#zxid;
    return { czxid: zxid, mzxid: zxid, watchers: new Set() };
  }

  #folder(path: string): Folder {
    let folder = this.#folders.get(path);
    if (!folder) this.#folders.set(path, (folder = { next: 0, nodes: new Map() }));
    return folder;
  }

  #fire({ watchers }: Znode): void {
    for (const tell of watchers) setImmediate(tell);
    watchers.clear();
  }
}

import { errorOf, type ZooKeeperError } from './errors.js';
import type { Reader, Writer } from './jute.js';

/** One question to a server, as its protocol has it. `T`: what the answer tells. */
export interface Request<T> {
  readonly code: number;
  /** For messages, and for the watch that it leaves. */
  readonly path: string;
  /** It leaves a watch for the data of `path`, if that is there. */
  readonly watch?: boolean;
  write(to: Writer): void;
  read(from: Reader): T;
}

/** What ZooKeeper knows of a node, as far as it is used. */
export interface Stat {
  /** The transaction that created it: grows with each new node, whatever its name. */
  readonly czxid: bigint;
  /** The transaction that changed it last. */
  readonly mzxid: number;
  /** When it was created, in milliseconds of the leader's clock. */
  readonly ctime: number;
  /** The session that it hangs from; `0n` for none. */
  readonly ephemeralOwner: bigint;
  readonly children: number;
}

export const CODES = { closeSession: -11, ping: 11, auth: 100, setWatches: 101 } as const;

/** Node modes of the protocol. */
const MODES = { persistent: 0, ephemeral: 1, 'ephemeral sequential': 3, container: 4 } as const;

/** Whom a new node belongs to: everybody, or whoever is logged in. */
export type Access = 'everybody' | 'creator';

export interface Created {
  readonly path: string;
  readonly stat: Stat;
}

export function create(
  path: string,
  mode: keyof typeof MODES,
  access: Access,
  data: Buffer = NO_DATA,
): Request<Created> {
  return {
    code: mode === 'container' ? 19 : 15,
    path,
    write(to) {
      to.string(path);
      to.bytes(data);
      const [scheme, id] = access === 'creator' ? ['auth', ''] : ['world', 'anyone'];
      to.list([ALL_RIGHTS], (rights) => {
        to.int(rights);
        to.string(scheme ?? '');
        to.string(id ?? '');
      });
      to.int(MODES[mode]);
    },
    read: (from) => ({ path: from.string(), stat: readStat(from) }),
  };
}

/** In a multi, which knows only the older sort of creation, that tells nothing but the path. */
export const createIn = (...node: Parameters<typeof create>): Request<string> => ({
  ...create(...node),
  code: 1,
  read: (from) => from.string(),
});

const ALL_RIGHTS = 31;
const NO_DATA = Buffer.alloc(0);

export const remove = (path: string): Request<void> => ({
  code: 2,
  path,
  write(to) {
    to.string(path);
    to.int(ANY_VERSION);
  },
  read: () => undefined,
});

const ANY_VERSION = -1;

export const exists = (path: string): Request<Stat> => ({ code: 3, path, write: ask(path, false), read: readStat });

export const get = (path: string, watch = false): Request<{ readonly data: Buffer; readonly stat: Stat }> => ({
  code: 4,
  path,
  watch,
  write: ask(path, watch),
  read: (from) => ({ data: from.bytes(), stat: readStat(from) }),
});

export const set = (path: string, data: Buffer): Request<Stat> => ({
  code: 5,
  path,
  write(to) {
    to.string(path);
    to.bytes(data);
    to.int(ANY_VERSION);
  },
  read: readStat,
});

export const children = (path: string): Request<{ readonly names: readonly string[]; readonly stat: Stat }> => ({
  code: 12,
  path,
  write: ask(path, false),
  read: (from) => ({ names: from.list(() => from.string()), stat: readStat(from) }),
});

/** Resolves when the server has caught up with its leader. */
export const sync = (path: string): Request<void> => ({
  code: 9,
  path,
  write: (to) => to.string(path),
  read: () => undefined,
});

/** The nodes that hang from this session, below a path. */
export const ephemerals = (below: string): Request<readonly string[]> => ({
  code: 103,
  path: below,
  write: (to) => to.string(below),
  read: (from) => from.list(() => from.string()),
});

/** All or none, in one step. Of none: the first error. */
export function multi(...operations: readonly Request<unknown>[]): Request<readonly unknown[]> {
  const header = (to: Writer, code: number, done: boolean): void => {
    to.int(code);
    to.boolean(done);
    to.int(-1);
  };
  return {
    code: 14,
    path: operations[0]?.path ?? '',
    write(to) {
      for (const operation of operations) {
        header(to, operation.code, false);
        operation.write(to);
      }
      header(to, -1, true);
    },
    read(from) {
      let failure: ZooKeeperError | undefined;
      const answers = operations.map((operation) => {
        const code = from.int();
        from.boolean();
        from.int();
        if (code !== -1) return operation.read(from);
        // The others of a multi that failed are answered with 0, or with "not tried" (-2).
        const error = from.int();
        if (error !== 0 && error !== -2) failure ??= errorOf(error, operation.path);
        return undefined;
      });
      if (failure) throw failure;
      return answers;
    },
  };
}

/** In a multi: fails unless the node is there. */
export const check = (path: string): Request<void> => ({
  code: 13,
  path,
  write(to) {
    to.string(path);
    to.int(ANY_VERSION);
  },
  read: () => undefined,
});

export const bare = (code: number): Request<void> => ({
  code,
  path: '',
  write: () => undefined,
  read: () => undefined,
});

/** Sets the watches of an earlier connection again, and tells at once what happened since that transaction. */
export const setWatches = (since: number, data: readonly string[]): Request<void> => ({
  code: CODES.setWatches,
  path: '',
  write(to) {
    to.long(BigInt(since));
    to.list(data, (path) => to.string(path));
    to.list([], () => undefined);
    to.list([], () => undefined);
  },
  read: () => undefined,
});

export interface Login {
  readonly scheme: string;
  /** For the scheme `digest`: `user:password`. */
  readonly auth: string | Uint8Array;
}

export const login = ({ scheme, auth }: Login): Request<void> => ({
  code: CODES.auth,
  path: '',
  write(to) {
    to.int(0);
    to.string(scheme);
    to.bytes(Buffer.from(auth));
  },
  read: () => undefined,
});

function ask(path: string, watch: boolean): (to: Writer) => void {
  return (to) => {
    to.string(path);
    to.boolean(watch);
  };
}

function readStat(from: Reader): Stat {
  const czxid = from.long();
  const mzxid = Number(from.long());
  const ctime = Number(from.long());
  from.long();
  from.int();
  from.int();
  from.int();
  const ephemeralOwner = from.long();
  from.int();
  const children = from.int();
  from.long();
  return { czxid, mzxid, ctime, ephemeralOwner, children };
}

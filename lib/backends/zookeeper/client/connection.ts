import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { errorOf, ZooKeeperError } from './errors.js';
import { Packets, Reader, Writer } from './jute.js';
import { CODES, type Request } from './requests.js';

export interface Host {
  readonly host: string;
  readonly port: number;
}

/** As `tls.connect` takes them. */
export type TlsOptions = Pick<
  ConnectionOptions,
  'ca' | 'cert' | 'key' | 'passphrase' | 'servername' | 'rejectUnauthorized'
>;

/** What names a session to a server. */
export interface Credentials {
  /** `0n`: a new one. */
  readonly session: bigint;
  readonly password: Buffer;
  /** In milliseconds; what a server grants may differ. */
  readonly timeout: number;
}

/** What a watch tells. */
export interface NodeEvent {
  readonly type: 'deleted' | 'changed' | 'other';
  readonly path: string;
}

export interface ConnectionListener {
  event(event: NodeEvent): void;
  /** Comes once, after every pending question was answered with the same error. */
  lost(error: ZooKeeperError): void;
}

/** An answer, and the point of the server's order of things at which it was true. */
export interface Answer<T> {
  readonly value: T;
  readonly at: number;
}

interface Pending {
  readonly xid: number;
  readonly request: Request<unknown>;
  resolve(answer: Answer<unknown>): void;
  reject(error: unknown): void;
  /** Puts a watch in its place before anything behind the answer is looked at. */
  readonly answered: (() => void) | undefined;
}

/** The numbers of what is no answer to an ordinary question. */
const XIDS: Partial<Record<number, number>> = { [CODES.ping]: -2, [CODES.auth]: -4, [CODES.setWatches]: -8 };
const NOTIFICATION = -1;
const EVENTS: Partial<Record<number, NodeEvent['type']>> = { 2: 'deleted', 3: 'changed' };

/**
 * One connection to one server: questions out, answers in, in one order. It gives up on a server that owes an answer and is
 * silent for `patience`, because a frozen server keeps its connections open.
 */
export class Connection {
  /** The latest transaction that this server told of. */
  lastZxid = 0;
  readonly #socket: Socket;
  readonly #packets = new Packets();
  readonly #pending: Pending[] = [];
  #outgoing: Buffer[] = [];
  #xid = 0;
  #handshake: ((packet: Reader) => void) | undefined;
  #alarm: NodeJS.Timeout | undefined;
  /** An answer was given that its asker has not dealt with yet: a later event must not overtake it. */
  #answering = false;
  #lost: ZooKeeperError | undefined;

  constructor(
    private readonly host: Host,
    tls: TlsOptions | undefined,
    private patience: number,
    private readonly listener: ConnectionListener,
  ) {
    const where = { host: host.host, port: host.port };
    this.#socket = tls
      ? connectTls({ ...where, ...(isIP(host.host) === 0 && { servername: host.host }), ...tls })
      : connectTcp(where);
    this.#socket.setNoDelay(true).setKeepAlive(true, 30_000);
    this.#socket.on('data', (chunk: Buffer) => {
      this.#packets.add(chunk);
      this.#read();
    });
    this.#socket.on('error', (error) => this.#lose(this.#error('failed', error)));
    this.#socket.on('close', () => this.#lose(this.#error('was closed')));
    this.#expectAnswer();
  }

  /** Asks for a session, a new one or one that is there. Resolves to what the server granted; `session` 0 when it has ended. */
  open({ session, password, timeout }: Credentials): Promise<Credentials> {
    const packet = new Writer();
    packet.int(0);
    // Not the last zxid seen: a server that lost its data would refuse to say so. What lags behind is made to catch up instead.
    packet.long(0n);
    packet.int(timeout);
    packet.long(session);
    packet.bytes(password);
    packet.boolean(false);
    this.#write(packet.packet());
    return new Promise((resolve, reject) => {
      this.#pending.push({ xid: 0, request: HANDSHAKE, resolve: () => undefined, reject, answered: undefined });
      this.#handshake = (from) => {
        this.#pending.shift();
        from.int();
        const granted = from.int();
        const id = from.long();
        resolve({ session: granted > 0 ? id : 0n, password: Buffer.from(from.bytes()), timeout: granted });
      };
    });
  }

  /** From now on, in milliseconds. */
  beReady(patience: number): void {
    this.patience = patience;
    this.#settle();
  }

  ask<T>(request: Request<T>, answered?: () => void): Promise<Answer<T>> {
    if (this.#lost) return Promise.reject(this.#lost);
    const xid = XIDS[request.code] ?? (this.#xid = (this.#xid % 0x7fff_ffff) + 1);
    const packet = new Writer();
    packet.int(xid);
    packet.int(request.code);
    request.write(packet);
    this.#write(packet.packet());
    return new Promise<Answer<T>>((resolve, reject) => {
      // The answer that it gets is what `request` reads.
      const pending = { xid, request, resolve: resolve as Pending['resolve'], reject, answered };
      if (this.#pending.push(pending) === 1) this.#expectAnswer();
    });
  }

  /** Ends it at once, without a word. */
  destroy(error = this.#error('was given up')): void {
    this.#lose(error);
  }

  #write(packet: Buffer): void {
    // What is asked in one go is sent in one go.
    if (this.#outgoing.push(packet) === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    const packets = this.#outgoing;
    this.#outgoing = [];
    if (!this.#lost) this.#socket.write(packets.length === 1 && packets[0] ? packets[0] : Buffer.concat(packets));
  }

  #read(): void {
    if (this.#answering) return;
    try {
      for (let packet = this.#packets.next(); packet; packet = this.#packets.next()) {
        if (this.#lost) return;
        if (this.#take(new Reader(packet))) return;
      }
    } catch (error) {
      return this.#lose(this.#error('sent what cannot be read', error));
    }
    this.#settle();
  }

  /** @returns whether what follows has to wait */
  #take(from: Reader): boolean {
    if (this.#handshake) {
      const handshake = this.#handshake;
      this.#handshake = undefined;
      handshake(from);
      return this.#pause();
    }
    const xid = from.int();
    const zxid = Number(from.long());
    const code = from.int();
    if (zxid > this.lastZxid) this.lastZxid = zxid;
    if (xid === NOTIFICATION) {
      const type = EVENTS[from.int()] ?? 'other';
      from.int();
      this.listener.event({ type, path: from.string() });
      return false;
    }
    // Only answers to ordinary questions keep their order for sure.
    const index = xid < 0 ? this.#pending.findIndex((one) => one.xid === xid) : 0;
    const pending = this.#pending[index];
    if (pending?.xid !== xid) throw new Error(`an answer to question ${xid} instead of ${pending?.xid ?? 'none'}`);
    this.#pending.splice(index, 1);
    const { request } = pending;
    if (code === 0) {
      const value = attempt(() => request.read(from));
      if (value instanceof ZooKeeperError) {
        pending.reject(value);
      } else {
        pending.answered?.();
        pending.resolve({ value, at: zxid });
      }
    } else {
      pending.reject(errorOf(code, request.path));
    }
    return this.#pause();
  }

  /**
   * Holds what follows back until whoever waits for this answer has dealt with it, however many promises lie in between: what is
   * ticked from a microtask comes when no microtask is left. Otherwise an event in the same chunk would overtake the answer.
   */
  #pause(): boolean {
    this.#answering = true;
    queueMicrotask(() =>
      process.nextTick(() => {
        this.#answering = false;
        this.#read();
      }),
    );
    return true;
  }

  #settle(): void {
    if (this.#pending.length > 0) return this.#expectAnswer();
    clearTimeout(this.#alarm);
    this.#alarm = undefined;
    this.#socket.unref();
  }

  #expectAnswer(): void {
    if (this.#lost) return;
    // A process with nothing else to do waits for the answer, and for nothing longer.
    this.#socket.ref();
    clearTimeout(this.#alarm);
    this.#alarm = setTimeout(() => this.#checkSilence(), this.patience).unref();
  }

  #checkSilence(): void {
    const { bytesRead } = this.#socket;
    const silent = this.#error(`was silent for ${this.patience} ms`);
    // It may be our own event loop that stood still, and the answer may lie there unread.
    setImmediate(() => {
      if (this.#socket.bytesRead === bytesRead) this.#lose(silent);
    });
  }

  #lose(error: ZooKeeperError): void {
    if (this.#lost) return;
    this.#lost = error;
    clearTimeout(this.#alarm);
    this.#socket.destroy();
    for (const { reject } of this.#pending.splice(0)) reject(error);
    this.listener.lost(error);
  }

  #error(what: string, cause?: unknown): ZooKeeperError {
    const why = cause instanceof Error ? `: ${cause.message}` : '';
    const message = `The connection to ZooKeeper at ${this.host.host}:${this.host.port} ${what}${why}.`;
    return new ZooKeeperError('ConnectionLoss', message, { cause });
  }
}

const HANDSHAKE: Request<void> = { code: 0, path: '', write: () => undefined, read: () => undefined };

/** An answer to several in one may be an error of one of them. */
function attempt(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    if (error instanceof ZooKeeperError) return error;
    throw error;
  }
}

/** ZooKeeper's serialisation (jute): big-endian numbers, strings and buffers behind their length, -1 for none. */

export class Writer {
  #buffer = Buffer.allocUnsafe(256);
  #length = 0;

  int(value: number): void {
    this.#length = this.#room(4).writeInt32BE(value, this.#length);
  }

  long(value: bigint): void {
    this.#length = this.#room(8).writeBigInt64BE(value, this.#length);
  }

  boolean(value: boolean): void {
    this.#length = this.#room(1).writeUInt8(value ? 1 : 0, this.#length);
  }

  string(value: string): void {
    const length = Buffer.byteLength(value);
    this.int(length);
    this.#room(length).write(value, this.#length);
    this.#length += length;
  }

  bytes(value: Uint8Array): void {
    this.int(value.length);
    this.#room(value.length).set(value, this.#length);
    this.#length += value.length;
  }

  list<T>(values: readonly T[], write: (value: T) => void): void {
    this.int(values.length);
    for (const value of values) write(value);
  }

  /** All that was written, as a packet: behind its own length. */
  packet(): Buffer {
    const packet = Buffer.allocUnsafe(4 + this.#length);
    packet.writeInt32BE(this.#length, 0);
    this.#buffer.copy(packet, 4, 0, this.#length);
    return packet;
  }

  #room(size: number): Buffer {
    if (this.#length + size > this.#buffer.length) {
      const larger = Buffer.allocUnsafe((this.#length + size) * 2);
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    return this.#buffer;
  }
}

/** Reading past the end throws a `RangeError`. */
export class Reader {
  #at = 0;

  constructor(private readonly buffer: Buffer) {}

  get isAtEnd(): boolean {
    return this.#at >= this.buffer.length;
  }

  int(): number {
    const value = this.buffer.readInt32BE(this.#at);
    this.#at += 4;
    return value;
  }

  long(): bigint {
    const value = this.buffer.readBigInt64BE(this.#at);
    this.#at += 8;
    return value;
  }

  boolean(): boolean {
    return this.buffer.readUInt8(this.#at++) !== 0;
  }

  string(): string {
    return this.bytes().toString();
  }

  bytes(): Buffer {
    const length = Math.max(this.int(), 0);
    if (this.#at + length > this.buffer.length) throw new RangeError('a packet that is too short');
    return this.buffer.subarray(this.#at, (this.#at += length));
  }

  list<T>(read: () => T): T[] {
    return Array.from({ length: Math.max(this.int(), 0) }, read);
  }
}

/** Cuts what comes from a socket into packets, however it was torn on the way. */
export class Packets {
  #rest: Buffer = Buffer.alloc(0);

  add(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
  }

  /** The next whole packet. @throws when what came is none of ZooKeeper's */
  next(): Buffer | undefined {
    if (this.#rest.length < 4) return undefined;
    const length = this.#rest.readInt32BE(0);
    if (length < 0 || length > LONGEST) throw new Error(`a packet of ${length} bytes: this is not ZooKeeper`);
    if (this.#rest.length < 4 + length) return undefined;
    const packet = this.#rest.subarray(4, 4 + length);
    this.#rest = this.#rest.subarray(4 + length);
    return packet;
  }
}

/** What is longer is the answer of some other sort of server. */
const LONGEST = 256 * 1024 ** 2;

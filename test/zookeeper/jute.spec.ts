import { describe, expect, it } from 'vitest';
import { Packets, Reader, Writer } from '../../lib/backends/zookeeper/client/jute.js';

/** What a writer made, without the length in front. */
const made = (write: (to: Writer) => void): string => {
  const to = new Writer();
  write(to);
  return to.packet().subarray(4).toString('hex');
};

describe("ZooKeeper's serialisation", () => {
  it('is that of its published protocol: big-endian, with lengths in front', () => {
    expect(made((to) => to.int(-2))).toBe('fffffffe');
    expect(made((to) => to.long(0x1_0000_0001n))).toBe('0000000100000001');
    expect(made((to) => to.boolean(true))).toBe('01');
    expect(made((to) => to.string('é/'))).toBe('00000003c3a92f');
    expect(made((to) => to.bytes(Buffer.of(1, 2)))).toBe('000000020102');
    expect(made((to) => to.list(['a', 'b'], (text) => to.string(text)))).toBe('0000000200000001610000000162');
  });

  it('reads what it wrote, however much that is', () => {
    const texts = Array.from({ length: 1_000 }, (_, number) => `text ${number} ü`);
    const to = new Writer();
    to.list(texts, (text) => to.string(text));
    to.long(-1n);
    to.boolean(false);
    const from = new Reader(to.packet().subarray(4));
    expect(from.list(() => from.string())).toEqual(texts);
    expect([from.long(), from.boolean(), from.isAtEnd]).toEqual([-1n, false, true]);
  });

  it('takes a length of -1 for nothing, and refuses to read past the end', () => {
    const nothing = new Reader(Buffer.from('ffffffffffffffff', 'hex'));
    expect([nothing.bytes().length, nothing.list(() => 1)]).toEqual([0, []]);
    expect(() => new Reader(Buffer.from('00000005616263', 'hex')).string()).toThrow(RangeError);
    expect(() => new Reader(Buffer.from('0000', 'hex')).int()).toThrow(RangeError);
    // A count that no packet could hold ends at the first one that is missing.
    const endless = new Reader(Buffer.from('7fffffff', 'hex'));
    expect(() => endless.list(() => endless.int())).toThrow(RangeError);
  });

  it('puts packets together that were torn anywhere', () => {
    const whole = Buffer.concat(
      ['first', 'second'].map((text) => {
        const to = new Writer();
        to.string(text);
        return to.packet();
      }),
    );
    for (let cut = 0; cut <= whole.length; cut++) {
      const packets = new Packets();
      const found: string[] = [];
      for (const part of [whole.subarray(0, cut), whole.subarray(cut)]) {
        packets.add(part);
        for (let packet = packets.next(); packet; packet = packets.next()) found.push(new Reader(packet).string());
      }
      expect(found, `cut after ${cut} bytes`).toEqual(['first', 'second']);
    }
  });

  it('knows another sort of server by a length that cannot be', () => {
    const packets = new Packets();
    packets.add(Buffer.from('HTTP/1.1 400 Bad Request\r\n'));
    expect(() => packets.next()).toThrow('this is not ZooKeeper');
  });
});

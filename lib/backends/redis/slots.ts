/** How a Redis Cluster spreads keys and sharded channels over its 16,384 slots. */
export const SLOTS = 16_384;

/** The slot of a key: that of its hash tag, where it has one. */
export function slotOf(key: string): number {
  const from = key.indexOf('{');
  const to = from < 0 ? -1 : key.indexOf('}', from + 1);
  return crc16(to > from + 1 ? key.slice(from + 1, to) : key) % SLOTS;
}

const tags: (string | undefined)[] = [];
let tried = 0;

/** A short text whose slot this is. All processes find the same one, so it can name a place in the slot that all know. */
export function tagOf(slot: number): string {
  for (;;) {
    const found = tags[slot];
    if (found !== undefined) return found;
    const tag = (tried++).toString(36);
    tags[crc16(tag) % SLOTS] ??= tag;
  }
}

/** CRC-16/XMODEM of the UTF-8 bytes, as the cluster specification has it. */
function crc16(text: string): number {
  let crc = 0;
  for (const byte of Buffer.from(text)) crc = ((crc << 8) & 0xffff) ^ (TABLE[(crc >> 8) ^ byte] ?? 0);
  return crc;
}

const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc & 0xffff;
});

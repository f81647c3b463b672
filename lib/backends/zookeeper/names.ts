/** How keys and owners become names of nodes, and back. */

/** What no node may be called, what would be a path, and `%`, which marks what is written so. */
const REFUSED = /[%/\p{Cc}\p{Cs}\p{Co}\ufff0-\uffff\u{10000}-\u{10ffff}]|^\.{1,2}$|^zookeeper$/gu;

/** Different texts have different names; most are their own. */
export const nameOf = (text: string): string => text.replaceAll(REFUSED, escape);

/** As `encodeURIComponent` has it, but also for what that leaves alone or refuses. */
function escape(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  // Half of a character.
  if (code >= 0xd800 && code <= 0xdfff) return `%u${code.toString(16)}`;
  const [first = 0, ...rest] = Buffer.from(character);
  // A whole name that is refused, such as `..`, is told apart by its first letter.
  if (character.length > 1 && code < 0x80) return `${percent(first)}${character.slice(1)}`;
  return [first, ...rest].map(percent).join('');
}

const percent = (byte: number): string => `%${byte.toString(16).padStart(2, '0').toUpperCase()}`;

/** The text that has this name. */
export function textOf(name: string): string {
  return name.replaceAll(/%u([\da-f]{4})|((?:%[\dA-F]{2})+)/g, (_, half?: string, bytes?: string) =>
    half
      ? String.fromCharCode(Number.parseInt(half, 16))
      : Buffer.from((bytes ?? '').replaceAll('%', ''), 'hex').toString(),
  );
}

/** An address for a message: without anything that may be a user, a password or a token. */
export function shownAddress(address: unknown): string {
  if (typeof address !== 'string') return String(address);
  return JSON.stringify(address.replace(/^([a-z][a-z\d+.-]*:\/\/)?.*@/is, '$1…@').replace(/[?#].*$/s, '?…'));
}

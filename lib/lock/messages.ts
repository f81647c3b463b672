/** What to do about a server that cannot be asked. */
export const CHECK_THE_SERVER =
  'Check that the server runs, and that its address, credentials and network allow this process in.';

/** What an error says, as a text of its own. */
export function textOf(error: unknown): string {
  // Node's own for a name with several addresses says nothing itself.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message || error.name : String(error);
}

/** What an error says, to stand within a sentence of ours. */
export function messageOf(error: unknown): string {
  return textOf(error).replace(/[\s.:]+$/, '');
}

/** What to do about a server that does not answer. */
export const CHECK_THE_SERVER =
  'Check that the server runs, and that its address, credentials and network allow this process in.';

/** The text of an error. */
export function textOf(error: unknown): string {
  // Node's own for a name with several addresses says nothing itself.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message || error.name : String(error);
}

/** The text of an error, to put into a sentence. */
export function messageOf(error: unknown): string {
  return textOf(error).replace(/[\s.:]+$/, '');
}

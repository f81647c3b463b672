/** Nest's own key for a route; the constant is not exported, and the same in 11 and 12. */
const PATH = 'path';

/** Whether Nest serves HTTP requests with this method. */
export function isHttpRoute(method: unknown): boolean {
  return typeof method === 'function' && Reflect.hasMetadata(PATH, method);
}

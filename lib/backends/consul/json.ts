/**
 * Consul's JSON, with `Flags` as texts of digits on our side: they have 64 bits, and a number of JavaScript has 53. Inside of a text a
 * quotation mark stands behind a backslash, so nothing but the field itself looks like this.
 */

/** For a request. */
export const written = (body: unknown): string => JSON.stringify(body).replace(/"Flags":"(\d+)"/g, '"Flags":$1');

/** Of an answer. */
export const read = (text: string): unknown => JSON.parse(text.replace(/"Flags":(\d+)/g, '"Flags":"$1"'));

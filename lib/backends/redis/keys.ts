/** The three keys of a lock. They share the hash tag. */
export function keysOf(name: string): [hash: string, line: string, shared: string] {
  const tag = hashTag(name);
  return [tag, `${tag}:line`, sharedOf(tag)];
}

/** Who shares a lock, by the first of its keys. */
export const sharedOf = (tag: string): string => `${tag}:shared`;

/**
 * The whole name, in the braces of a hash tag. Its own braces are escaped, because a tag ends at the first closing brace and an
 * empty one is none; but what a user put between braces comes first, so that locks that share it share a slot of a cluster.
 */
export function hashTag(name: string): string {
  if (!AWKWARD.test(name)) return `{${name}}`;
  const own = OWN_TAG.exec(name)?.[0] ?? '';
  return `${own}{${name.replace(AWKWARD_ALL, encodeURIComponent)}}`;
}

/** The name whose hash tag this is, or nothing if it is no lock's. */
export function nameOf(tag: string): string | undefined {
  const [, encoded] = /^[^{]*(?:\{[^{}]*\})?\{([^{}]*)\}$/.exec(tag) ?? [];
  if (encoded === undefined) return undefined;
  const name = encoded.replace(/%(?:25|7B|7D)/g, decodeURIComponent);
  return hashTag(name) === tag ? name : undefined;
}

const AWKWARD = /[%{}]/;
const AWKWARD_ALL = /[%{}]/g;
/** As Redis finds it: from the first opening brace to the next closing one, and not empty. */
const OWN_TAG = /(?<=^[^{]*)\{[^}]+\}/;

import { type Layout, type ZooKeeperPlace } from './layout.js';

/**
 * The places of one line, foremost first. Children that the layout does not know come before all: somebody uses the key as something
 * else, which is never ignored.
 *
 * @param since a number that was in this line not long ago: numbers are told apart by how far they are from each other
 */
export function placesIn(layout: Layout, folder: string, names: readonly string[], since?: number): ZooKeeperPlace[] {
  const strangers: ZooKeeperPlace[] = [];
  const places: ZooKeeperPlace[] = [];
  for (const name of names) {
    const named = layout.read(name);
    const path = `${folder}/${name}`;
    if (named) places.push({ ...named, path, token: undefined });
    else strangers.push({ ...STRANGER, owner: name, path });
  }
  const from = since ?? places[0]?.number ?? 0;
  places.sort((one, other) => distance(from, one.number) - distance(from, other.number));
  return [...strangers, ...places];
}

/** No claim has this limit. */
const STRANGER = { mode: 'exclusive', limit: 0, number: 0, token: undefined, keptMs: undefined } as const;

const distance = (from: number, to: number): number => (to - from) | 0;

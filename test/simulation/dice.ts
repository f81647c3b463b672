import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** All chance of one run: the same seed, the same run. */
export class Dice {
  readonly #generator;

  constructor(seed: number) {
    // Neighbouring seeds are to have nothing in common.
    this.#generator = xoroshiro128plus(Math.imul(seed, 0x9e3779b1) ^ (seed >>> 15));
  }

  /** From 0 up to 1. */
  readonly random = (): number => uniformFloat64(this.#generator);

  chance(share: number): boolean {
    return this.random() < share;
  }

  between(least: number, most: number): number {
    return least + this.random() * (most - least);
  }

  /** A whole number, both ends included. */
  whole(least: number, most: number): number {
    return Math.floor(this.between(least, most + 1));
  }

  pick<T>(things: readonly T[]): T {
    return things[this.whole(0, things.length - 1)] as T;
  }

  /** One of the keys, each as often as its weight says. */
  weighted<T extends string>(weights: Readonly<Record<T, number>>): T {
    const entries = Object.entries(weights) as [T, number][];
    let rest = this.random() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [thing, weight] of entries) if ((rest -= weight) < 0) return thing;
    return entries.at(-1)![0];
  }
}

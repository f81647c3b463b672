import { element, write } from './dom.js';
import { duration } from './text.js';

/** The lease of a holder, which runs down between two frames. */
export class LeaseBar {
  readonly node = element('span', 'lease');
  readonly #text = element('span', 'left');
  readonly #bar = element('span', 'bar');
  /** The longest that it was seen: where a full bar ends. */
  #longest = 1;
  #owner = '';
  #end = 0;

  constructor() {
    this.#bar.append(element('span', 'fill'));
    this.node.append(this.#text, this.#bar);
  }

  show(owner: string, leaseMs: number, now: number): void {
    if (owner !== this.#owner) this.#longest = 1;
    this.#owner = owner;
    this.#longest = Math.max(this.#longest, leaseMs);
    this.#end = now + leaseMs;
    this.tick(now);
  }

  tick(now: number): void {
    const left = Math.max(0, this.#end - now);
    write(this.#text, duration(left));
    const share = left / this.#longest;
    (this.#bar.firstElementChild as HTMLElement).style.transform = `scaleX(${share.toFixed(3)})`;
    this.node.classList.toggle('low', share < 0.25);
  }
}

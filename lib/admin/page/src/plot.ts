import type { Frame } from '../frame.js';
import { byId, element, write } from './dom.js';
import { exactly, number } from './text.js';

const SVG = 'http://www.w3.org/2000/svg';
const [WIDTH, HEIGHT] = [600, 64];

/** The longest wait of each moment as a bar; one in which somebody did not get a lock is marked. */
export class Plot {
  readonly #bars: SVGRectElement[] = [];
  readonly #svg = document.createElementNS(SVG, 'svg');
  readonly #most = element('span', 'most');
  #last = '';

  constructor() {
    this.#svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    this.#svg.setAttribute('preserveAspectRatio', 'none');
    // The caption says the same in words.
    this.#svg.setAttribute('aria-hidden', 'true');
    byId('div', 'plot').append(this.#svg, this.#most);
  }

  show({ bars, barMs }: Frame['waits']): void {
    const last = JSON.stringify(bars);
    if (last === this.#last) return;
    this.#last = last;
    const longest = Math.max(...bars.map(({ longestMs }) => longestMs), 0);
    bars.forEach(({ longestMs, failed, count }, index) => {
      const bar = (this.#bars[index] ??= this.#newBar(index, bars.length));
      const height = count === 0 ? 0 : Math.max(3, (longestMs / Math.max(longest, 1)) * HEIGHT);
      bar.setAttribute('y', String(HEIGHT - height));
      bar.setAttribute('height', String(height));
      bar.setAttribute('class', failed > 0 ? 'failed' : '');
    });
    const count = bars.reduce((sum, bar) => sum + bar.count, 0);
    const failed = bars.reduce((sum, bar) => sum + bar.failed, 0);
    const minutes = Math.round((bars.length * barMs) / 60_000);
    write(this.#most, longest > 0 ? exactly(longest) : '');
    const without = failed > 0 ? `; ${number(failed)} ended without the lock` : '';
    const what = count === 0 ? 'none' : `${number(count)}, the longest ${exactly(longest)}${without}`;
    write(byId('figcaption', 'plot-caption'), `Waits in this process, last ${minutes} minutes: ${what}`);
  }

  #newBar(index: number, of: number): SVGRectElement {
    const bar = document.createElementNS(SVG, 'rect');
    const width = WIDTH / of;
    bar.setAttribute('x', String(index * width + 1));
    bar.setAttribute('width', String(width - 2));
    this.#svg.append(bar);
    return bar;
  }
}

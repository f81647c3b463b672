/** Just enough SVG for two plots: elements as text, a logarithmic scale, an axis. */

type Attributes = Readonly<Record<string, string | number>>;

const escape = (text: string): string => text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
const short = (value: string | number): string =>
  typeof value === 'number' ? `${Math.round(value * 10) / 10}` : escape(value);

export function element(name: string, attributes: Attributes, ...children: readonly string[]): string {
  const list = Object.entries(attributes).map(([key, value]) => ` ${key}="${short(value)}"`);
  return children.length === 0
    ? `<${name}${list.join('')}/>`
    : `<${name}${list.join('')}>${children.join('')}</${name}>`;
}

export const text = (x: number, y: number, content: string, attributes: Attributes = {}): string =>
  element('text', { x, y, ...attributes }, escape(content));

export const line = (points: readonly (readonly [number, number])[], attributes: Attributes): string =>
  element('polyline', {
    points: points.map(([x, y]) => `${short(x)},${short(y)}`).join(' '),
    fill: 'none',
    ...attributes,
  });

export function drawing(width: number, height: number, title: string, ...children: readonly string[]): string {
  const style = { xmlns: 'http://www.w3.org/2000/svg', viewBox: `0 0 ${width} ${height}`, width, height };
  const font = { 'font-family': 'system-ui, sans-serif', 'font-size': 12, fill: '#212529' };
  const background = element('rect', { width, height, fill: '#fff' });
  const heading = text(16, 24, title, { 'font-size': 15, 'font-weight': 600 });
  return `${element('svg', style, element('title', {}, escape(title)), element('g', font, background, heading, ...children))}\n`;
}

export interface Scale {
  (value: number): number;
  /** Powers of ten within it. */
  readonly ticks: readonly number[];
}

/** Values from `low` to `high` onto pixels from `from` to `to`, each power of ten as wide as any other. */
export function logarithmic(low: number, high: number, from: number, to: number): Scale {
  const place = (value: number): number => {
    const share = Math.log(Math.min(Math.max(value, low), high) / low) / Math.log(high / low);
    return from + share * (to - from);
  };
  const ticks: number[] = [];
  for (let power = Math.ceil(Math.log10(low) - 1e-9); power <= Math.log10(high) + 1e-9; power++)
    ticks.push(10 ** power);
  return Object.assign(place, { ticks });
}

/** Moves labels apart that would lie over each other; they stay in order. */
export function spread(places: readonly number[], gap: number): readonly number[] {
  const order = places.map((place, index) => ({ place, index })).sort((a, b) => a.place - b.place);
  let last = -Infinity;
  for (const label of order) {
    label.place = Math.max(label.place, last + gap);
    last = label.place;
  }
  const result = [...places];
  for (const { place, index } of order) result[index] = place;
  return result;
}

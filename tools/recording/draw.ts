/** One line of a terminal. */
export interface Line {
  readonly terminal: 0 | 1;
  /** Said by the program, typed by a person, or noted by the shell. */
  readonly kind: 'said' | 'typed' | 'noted';
  readonly text: string;
  /** Since the beginning, in milliseconds. */
  readonly at: number;
}

const WIDTH = 404;
const LINE_HEIGHT = 21;
/** How long the end stays before the recording begins anew, in milliseconds. */
const PAUSE_MS = 4_000;

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** Two terminals beside each other, whose lines appear when they were said. Without animation, as for people who want none, all are there. */
export function draw(lines: readonly Line[]): string {
  const total = Math.max(...lines.map(({ at }) => at)) + PAUSE_MS;
  const rows = Math.max(...[0, 1].map((terminal) => lines.filter((line) => line.terminal === terminal).length));
  const height = 52 + rows * LINE_HEIGHT + 10;
  const next = { 0: 0, 1: 0 };
  const keyframes: string[] = [];
  const texts = lines.map((line, index) => {
    const { terminal, kind, text, at } = line;
    const row = next[terminal]++;
    const percent = ((at / total) * 100).toFixed(2);
    keyframes.push(
      `@keyframes l${index}{0%,${percent}%{opacity:0}${(Number(percent) + 0.01).toFixed(2)}%,100%{opacity:1}}`,
    );
    const x = 16 + terminal * (WIDTH + 12);
    const y = 58 + row * LINE_HEIGHT;
    const seconds = (at / 1_000).toFixed(1).padStart(4);
    const shown = kind === 'typed' ? `$ ${text}` : text;
    const tone = text.includes('is mine') ? 'held' : kind;
    return (
      `<g style="animation-name:l${index}"><text x="${x}" y="${y}" class="time">${seconds}</text>` +
      `<text x="${x + 42}" y="${y}" class="${tone}">${escaped(shown)}</text></g>`
    );
  });
  const terminals = [0, 1].map((terminal) => {
    const x = terminal * (WIDTH + 12);
    return (
      `<rect x="${x + 0.5}" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="7" class="window"/>` +
      `<text x="${x + 16}" y="25" class="title">pod ${'AB'[terminal]}</text>` +
      `<line x1="${x + 1}" x2="${x + WIDTH - 1}" y1="36.5" y2="36.5" class="rule"/>`
    );
  });
  const style =
    `text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre}` +
    `.window{fill:#161b22;stroke:#6e7681}.rule{stroke:#30363d}.title{fill:#c9d1d9;font-weight:600}.time{fill:#8b949e}` +
    `.said{fill:#e6edf3}.typed,.noted{fill:#ff9b8f}.held{fill:#7ee787}` +
    `@media not (prefers-reduced-motion:reduce){g{animation-duration:${Math.round(total)}ms;animation-iteration-count:infinite;animation-timing-function:step-end}${keyframes.join('')}}`;
  const width = 2 * WIDTH + 12;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">` +
    `<title>Pod A holds the lock and is killed. Pod B waits, gets the lock when the lease of A ends, and works with a higher token.</title>` +
    `<style>${style}</style>${terminals.join('')}${texts.join('')}</svg>\n`
  );
}

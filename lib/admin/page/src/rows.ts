import type { Row } from '../frame.js';
import { byId, element, write } from './dom.js';
import { LeaseBar } from './lease.js';
import { duration, number, placeOf, shown } from './text.js';

export const idOf = ({ backend, key }: Pick<Row, 'backend' | 'key'>): string => `${backend}\n${key}`;

/** How a key is held, where it is not by one alone. */
export function kindOf({ limit, mode, held }: Row): string {
  if (limit > 1) return `${held} of ${limit}`;
  return mode === 'shared' ? 'shared' : '';
}

/** One line of the table. It stays the same element for as long as the lock is shown, so that focus and selection stay. */
class Line {
  readonly node = element('tr', '');
  readonly #key = element('button', 'key');
  readonly #kind = element('span', 'kind');
  readonly #backend = element('span', 'backend');
  readonly #holder = element('span', 'holder');
  readonly #held = element('span', '');
  readonly #lease = new LeaseBar();
  readonly #waiting = element('span', '');
  /** When it was granted, on the clock of the page. */
  #since: number | undefined;
  row: Row;

  constructor(row: Row, onOpen: (row: Row) => void) {
    this.row = row;
    this.#key.type = 'button';
    this.#key.setAttribute('aria-haspopup', 'dialog');
    this.#key.addEventListener('click', () => onOpen(this.row));
    this.node.append(
      cell('Key', this.#key, this.#kind, this.#backend),
      cell('Holder', this.#holder),
      cell('Held for', this.#held),
      cell('Lease', this.#lease.node),
      cell('Waiting', this.#waiting),
    );
    this.node.lastElementChild?.classList.add('number');
  }

  show(row: Row, now: number, named: boolean): void {
    this.row = row;
    const [first] = row.holders;
    write(this.#key, shown(row.key));
    write(this.#kind, kindOf(row));
    write(this.#backend, named ? row.backend : '');
    write(this.#holder, first ? holderText(row) : 'nobody');
    this.#holder.title = first?.owner ?? '';
    this.#since = first?.heldMs === undefined ? undefined : now - first.heldMs;
    if (first) this.#lease.show(first.owner, first.leaseMs, now);
    this.#lease.node.hidden = !first;
    write(this.#waiting, row.waiting > 0 ? number(row.waiting) : '');
    this.node.classList.toggle('contended', row.waiting > 0);
    this.tick(now);
  }

  tick(now: number): void {
    write(this.#held, this.#since === undefined ? '–' : duration(now - this.#since));
    this.#lease.tick(now);
  }
}

function holderText({ held, holders: [first] }: Row): string {
  if (!first) return 'nobody';
  const { host, pid } = placeOf(first.owner);
  const name = pid === undefined ? host : `${host} · ${pid}`;
  return held > 1 ? `${name} and ${number(held - 1)} more` : name;
}

/** The heading stands in the cell as well: on a phone the table is a list of cards. */
function cell(heading: string, ...children: readonly HTMLElement[]): HTMLTableCellElement {
  const made = element('td', '', ...children);
  made.dataset['heading'] = heading;
  return made;
}

/** The lines of the table, in the order of the frame. */
export class Rows {
  readonly #lines = new Map<string, Line>();
  readonly #body = byId('tbody', 'rows');

  constructor(private readonly onOpen: (row: Row) => void) {}

  show(rows: readonly Row[], now: number): void {
    const ids = new Set(rows.map(idOf));
    const named = new Set(rows.map(({ backend }) => backend)).size > 1;
    for (const [id, line] of this.#lines) {
      if (ids.has(id)) continue;
      line.node.remove();
      this.#lines.delete(id);
    }
    let next = this.#body.firstElementChild;
    for (const row of rows) {
      const id = idOf(row);
      const line = this.#lines.get(id) ?? new Line(row, this.onOpen);
      this.#lines.set(id, line);
      line.show(row, now, named);
      if (line.node === next) next = next.nextElementSibling;
      else this.#body.insertBefore(line.node, next);
    }
  }

  tick(now: number): void {
    for (const line of this.#lines.values()) line.tick(now);
  }
}

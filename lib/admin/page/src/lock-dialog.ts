import type { Row } from '../frame.js';
import { byId, element, write } from './dom.js';
import { release } from './release.js';
import { idOf, kindOf } from './rows.js';
import { duration, number, placeOf, shown } from './text.js';

/** One lock with all its holders and waiters, and the way to take it away. */
export class LockDialog {
  readonly #dialog = byId('dialog', 'lock');
  readonly #title = element('h2', '');
  readonly #about = element('p', 'about');
  readonly #holders = element('ul', 'owners');
  readonly #waiters = element('ol', 'owners');
  readonly #waitersTitle = element('h3', '', 'Waiting');
  readonly #nodes = element('ul', 'owners nodes');
  readonly #nodesTitle = element('h3', '', 'What each server says');
  readonly #ask = button('danger', 'Release by force…');
  readonly #question = element('div', 'question');
  readonly #questionText = element('p', '');
  readonly #yes = button('danger', 'Yes, take it away');
  readonly #no = button('', 'Leave it');
  readonly #result = element('p', 'result');
  #row: Row | undefined;
  /** As it was when the question was asked: the answer is for those holders. */
  #asked: Row | undefined;

  constructor() {
    this.#title.id = 'lock-key';
    this.#result.setAttribute('role', 'status');
    const close = button('close', 'Close');
    close.addEventListener('click', () => this.#dialog.close());
    // A click beside it.
    this.#dialog.addEventListener('click', ({ target }) => target === this.#dialog && this.#dialog.close());
    this.#question.append(this.#questionText, element('div', 'buttons', this.#yes, this.#no));
    this.#ask.addEventListener('click', () => this.#askFirst());
    this.#no.addEventListener('click', () => this.#answered());
    this.#yes.addEventListener('click', () => void this.#release());
    const canRelease = 'release' in document.documentElement.dataset;
    this.#dialog.append(
      element(
        'div',
        'sheet',
        element('div', 'head', this.#title, close),
        this.#about,
        element('h3', '', 'Held by'),
        this.#holders,
        this.#waitersTitle,
        this.#waiters,
        this.#nodesTitle,
        this.#nodes,
        ...(canRelease ? [this.#ask, this.#question] : []),
        this.#result,
      ),
    );
  }

  open(row: Row): void {
    this.#row = row;
    this.#answered();
    write(this.#result, '');
    this.#render(row);
    this.#dialog.showModal();
  }

  /** What the lock is like by now. `undefined`: it is not among the rows that are shown. */
  update(rows: readonly Row[]): void {
    const { open } = this.#dialog;
    if (!open || !this.#row) return;
    const id = idOf(this.#row);
    const row = rows.find((one) => idOf(one) === id);
    this.#row = row ?? { ...this.#row, held: 0, holders: [], waiting: 0, waiters: [] };
    this.#render(this.#row);
  }

  #render(row: Row): void {
    write(this.#title, shown(row.key));
    const kind = kindOf(row);
    write(this.#about, `On ${row.backend}${kind ? `, ${kind}` : ''}`);
    const holders = row.holders.map(({ owner, heldMs, leaseMs, token }) =>
      entry(owner, [
        heldMs === undefined ? '' : `for ${duration(heldMs)}`,
        `lease ${duration(leaseMs)}`,
        token === undefined ? '' : `token ${token}`,
      ]),
    );
    fill(this.#holders, holders, row.held - row.holders.length, 'nobody, at the last look');
    const waiters = row.waiters.map(({ owner, waitingMs }) =>
      entry(owner, [waitingMs === undefined ? '' : `for ${duration(waitingMs)}`]),
    );
    write(this.#waitersTitle, row.waiting === 0 ? 'Waiting' : `Waiting: ${number(row.waiting)}`);
    fill(this.#waiters, waiters, row.waiting - row.waiters.length, 'nobody');
    this.#nodesTitle.hidden = this.#nodes.hidden = !row.nodes;
    fill(this.#nodes, row.nodes?.map(nodeEntry) ?? [], 0, '');
    this.#ask.disabled = row.held === 0;
  }

  #askFirst(): void {
    const row = this.#row;
    if (!row) return;
    this.#asked = row;
    const hosts = row.holders.map(({ owner }) => placeOf(owner).host).join(', ');
    write(
      this.#questionText,
      `The work of ${hosts} may go on until it hears of this, beside that of the next holder. Release it only if you know that the holder is stuck.`,
    );
    this.#ask.hidden = true;
    this.#question.hidden = false;
    write(this.#result, '');
    // Not on the one that cannot be undone.
    this.#no.focus();
  }

  #answered(): void {
    const hadFocus = this.#question.contains(document.activeElement);
    this.#question.hidden = true;
    this.#ask.hidden = false;
    if (hadFocus) this.#ask.focus();
  }

  async #release(): Promise<void> {
    const row = this.#asked;
    if (!row) return;
    this.#yes.disabled = true;
    const result = await release(row);
    this.#yes.disabled = false;
    this.#answered();
    write(this.#result, result);
  }
}

function button(className: string, text: string): HTMLButtonElement {
  const made = element('button', className, text);
  made.type = 'button';
  return made;
}

function entry(owner: string, facts: readonly string[]): HTMLLIElement {
  return element('li', '', element('code', '', shown(owner)), element('span', '', facts.filter(Boolean).join(' · ')));
}

function nodeEntry(node: NonNullable<Row['nodes']>[number]): HTMLLIElement {
  if ('error' in node) return entry(node.node, [`says nothing: ${shown(node.error)}`]);
  const { owners, waiting } = node;
  const who =
    owners.length === 0 ? 'nobody has it' : `${owners.map(shown).join(', ')} ${owners.length > 1 ? 'have' : 'has'} it`;
  return entry(node.node, [who, waiting === 0 ? '' : `${number(waiting)} waiting`]);
}

/** Replaced only where it says something else, so that a selection in it stays. */
function fill(list: HTMLElement, entries: readonly HTMLLIElement[], more: number, none: string): void {
  const all = [...entries];
  if (more > 0) all.push(element('li', 'rest', `and ${number(more)} more`));
  if (all.length === 0) all.push(element('li', 'rest', none));
  all.forEach((made, index) => {
    const there = list.children[index];
    if (!there) list.append(made);
    else if (!there.isEqualNode(made)) there.replaceWith(made);
  });
  while (list.children.length > all.length) list.lastElementChild?.remove();
}

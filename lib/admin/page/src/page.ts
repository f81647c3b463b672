import type { Frame, Row, Sort } from '../frame.js';
import { byId, write } from './dom.js';
import { LockDialog } from './lock-dialog.js';
import { Plot } from './plot.js';
import { Rows } from './rows.js';
import { type State, Stream } from './stream.js';
import { number } from './text.js';

const ROWS = 100;
const MOST_ROWS = 1_000;
/** How long typing pauses before the server is asked, in milliseconds. */
const TYPING_MS = 200;

const states: Readonly<Record<State, string>> = {
  connecting: 'Connecting',
  live: 'Live',
  late: 'Nothing heard for a while',
  lost: 'Not connected; trying again',
};

const filter = byId('input', 'filter');
const sort = byId('select', 'sort');
const more = byId('button', 'more');
const state = byId('p', 'state');
const dialog = new LockDialog();
const rows = new Rows((row: Row) => dialog.open(row));
const plot = new Plot();
let limit = ROWS;

const stream = new Stream(show, (now) => {
  state.dataset['state'] = now;
  write(state, states[now]);
});

function open(): void {
  stream.open({ filter: filter.value.trim(), sort: sort.value as Sort, limit });
}

function show(frame: Frame): void {
  const now = performance.now();
  write(byId('dd', 'held'), number(frame.totals.held));
  write(byId('dd', 'waiting'), number(frame.totals.waiting));
  write(byId('dd', 'processes'), number(frame.totals.processes));
  rows.show(frame.rows, now);
  dialog.update(frame.rows);
  plot.show(frame.waits);
  write(byId('p', 'notice'), noticeOf(frame));
  write(byId('p', 'count'), countOf(frame));
  more.hidden = frame.rows.length >= frame.matching || limit >= MOST_ROWS;
}

function noticeOf({ silent, more: tooMany }: Frame): string {
  const parts = silent.map(({ backend, why }) =>
    why === 'no list'
      ? `The locks of “${backend}” cannot be listed.`
      : `The lock server of “${backend}” does not answer; its locks are shown as they were.`,
  );
  if (tooMany) parts.push('There are more locks than are looked at here: the first 10,000.');
  return parts.join(' ');
}

function countOf({ rows: shown, matching, complete }: Frame): string {
  if (matching === 0) {
    if (!complete) return 'Looking…';
    return filter.value.trim() === '' ? 'No lock is held or waited for.' : 'No lock matches the filter.';
  }
  const of = shown.length < matching ? `${number(shown.length)} of ${number(matching)}` : number(matching);
  return `${of} ${matching === 1 ? 'lock' : 'locks'}${complete ? '' : ' so far'}`;
}

let typing: ReturnType<typeof setTimeout> | undefined;
filter.addEventListener('input', () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    limit = ROWS;
    open();
  }, TYPING_MS);
});
sort.addEventListener('change', open);
more.addEventListener('click', () => {
  limit = MOST_ROWS;
  open();
});
filter.form?.addEventListener('submit', (event) => event.preventDefault());
document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.target instanceof HTMLInputElement || document.querySelector('dialog[open]')) return;
  event.preventDefault();
  filter.focus();
});
setInterval(() => rows.tick(performance.now()), 1_000);
open();

import { createHash } from 'node:crypto';
import { assets } from './assets.js';

export interface PageOptions {
  readonly title: string;
  readonly allowForceRelease: boolean;
}

/** The page before its first frame. Nothing in it is inline, so that the strictest policy lets it be. */
export function html({ title, allowForceRelease }: PageOptions): string {
  const name = escaped(title);
  return `<!doctype html>
<html lang="en"${allowForceRelease ? ' data-release' : ''}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${name}</title>
<link rel="icon" href="${addressOf('icon.svg')}">
<link rel="stylesheet" href="${addressOf('page.css')}">
<script type="module" src="${addressOf('page.js')}"></script>
</head>
<body>
<header>
<h1>${name}</h1>
<p id="state" role="status" data-state="connecting">Connecting</p>
</header>
<main>
<section class="overview" aria-label="Overview">
<dl>
<div><dt>Held</dt><dd id="held">–</dd></div>
<div><dt>Waiting</dt><dd id="waiting">–</dd></div>
<div><dt>Processes</dt><dd id="processes">–</dd></div>
</dl>
<figure>
<div id="plot"></div>
<figcaption id="plot-caption">Waits of this process</figcaption>
</figure>
</section>
<form role="search">
<div class="field wide">
<label for="filter">Filter</label>
<input id="filter" type="search" placeholder="key, host or backend" autocomplete="off" spellcheck="false">
</div>
<div class="field">
<label for="sort">Sort by</label>
<select id="sort">
<option value="waiting">most waiting</option>
<option value="held">held longest</option>
<option value="lease">shortest lease</option>
<option value="key">key</option>
</select>
</div>
</form>
<p id="notice" role="status"></p>
<table>
<thead><tr><th scope="col">Key</th><th scope="col">Holder</th><th scope="col">Held for</th><th scope="col">Lease</th><th scope="col" class="number">Waiting</th></tr></thead>
<tbody id="rows"></tbody>
</table>
<p id="count"></p>
<button id="more" type="button" hidden>Show more</button>
<noscript><p>This page needs JavaScript.</p></noscript>
</main>
<dialog id="lock" aria-labelledby="lock-key"></dialog>
</body>
</html>
`;
}

/** With a part of its hash, so that a browser may keep it for as long as it stays the same. */
const addresses = new Map(
  assets.map(({ name, body }) => {
    const hash = createHash('sha256').update(body).digest('hex').slice(0, 12);
    return [name, `?file=${name}&amp;v=${hash}`];
  }),
);

const addressOf = (name: string): string => addresses.get(name) ?? `?file=${name}`;

const escaped = (text: string): string => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

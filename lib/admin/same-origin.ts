import type { IncomingHttpHeaders } from 'node:http';

/** The page's own requests carry it. No form can, and a script of another origin only where the application lets it. */
export const PAGE_HEADER = 'x-lock-admin';

/**
 * Whether a request that changes something comes from the page itself, and not from another site in the same browser, whose cookies it
 * would carry. What the browser says of it counts; a browser that says nothing is too old to be trusted.
 */
export function isFromPage(headers: IncomingHttpHeaders): boolean {
  if (headers[PAGE_HEADER] === undefined) return false;
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin';
  // Browsers tell it only to `https:` and to this machine; they tell the origin always.
  const { origin } = headers;
  if (origin === undefined || !URL.canParse(origin)) return false;
  const { host } = new URL(origin);
  const forwarded = String(headers['x-forwarded-host'] ?? '')
    .split(',')[0]
    ?.trim();
  return host === headers.host || (forwarded !== '' && host === forwarded);
}

import { onTestFinished } from 'vitest';
import type { Frame } from '../../lib/admin/page/frame.js';
import { PAGE_HEADER } from '../../lib/admin/same-origin.js';

/** The stream of a page, a frame at a time, as a browser gets it. */
export async function openStream(url: string, query: Record<string, string> = {}) {
  const hangUp = new AbortController();
  onTestFinished(() => hangUp.abort());
  const response = await fetch(`${url}?${new URLSearchParams({ events: '', ...query }).toString()}`, {
    signal: hangUp.signal,
  });
  const frames = framesOf(response);
  return {
    response,
    hangUp: () => hangUp.abort(),
    /** `undefined` when the server has ended the stream. */
    async next(): Promise<Frame | undefined> {
      const { value } = await frames.next();
      return value;
    },
    /** The next frame that is like that. */
    async until(fits: (frame: Frame) => boolean): Promise<Frame> {
      for (;;) {
        const { value, done } = await frames.next();
        if (done) throw new Error('The stream ended.');
        if (fits(value)) return value;
      }
    },
  };
}

async function* framesOf(response: Response): AsyncGenerator<Frame, undefined> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    const messages = text.split('\n\n');
    text = messages.pop() ?? '';
    for (const message of messages) {
      if (message.startsWith('data: ')) yield JSON.parse(message.slice('data: '.length)) as Frame;
    }
  }
  return undefined;
}

/** Asks for a release as the page does; `headers` say what the browser would. */
export function askForRelease(
  url: string,
  body: unknown,
  headers: Record<string, string> = FROM_PAGE,
): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

export const FROM_PAGE = { [PAGE_HEADER]: '1', 'sec-fetch-site': 'same-origin' };

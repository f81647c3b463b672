import type { ReleaseAnswer, ReleaseRequest, Row } from '../frame.js';

const sentences: Readonly<Record<ReleaseAnswer['outcome'], string>> = {
  released: 'It was released.',
  free: 'Nobody holds it any more.',
  changed: 'Somebody else holds it by now, so it was left as it is.',
};

/** Takes a lock from those who hold it in this row, and says what came of it. */
export async function release({ backend, key, holders }: Row): Promise<string> {
  const request: ReleaseRequest = { backend, key, owners: holders.map(({ owner }) => owner) };
  try {
    const response = await fetch(location.pathname, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-lock-admin': '1' },
      body: JSON.stringify(request),
    });
    if (!response.ok) return `It was not released: the server answered with ${response.status}.`;
    return sentences[((await response.json()) as ReleaseAnswer).outcome];
  } catch {
    return 'It is not known whether it was released: the server did not answer.';
  }
}

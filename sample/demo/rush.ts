import { violations } from '../../lib/testing/contract/history.js';
import type { Shop } from './shop.js';

const PRODUCT = 'chair';

export interface Rush {
  readonly path: 'orders' | 'orders-without-lock';
  readonly stock: number;
  readonly orders: number;
  readonly customers: number;
  /** Whether who stood in line first must have been served first. */
  readonly inOrder: boolean;
}

export interface Result {
  readonly stock: number;
  readonly sold: number;
  /** Units that more than one customer was promised. */
  readonly soldTwice: number;
  readonly soldOut: number;
  /** Answers that were neither a sale nor "sold out". */
  readonly failed: readonly string[];
  readonly seconds: number;
  /** How often somebody came to the shelf while another was there. */
  readonly overlaps: number;
  readonly waits: readonly number[];
  readonly handOvers: number;
  readonly tokens: number;
  /** Everything that the locks promised and did not keep, in words: overlaps, tokens out of order, places in line overtaken. */
  readonly violations: readonly string[];
}

/** Sends the orders of many customers to all shops at once, and puts together what came of it. */
export async function rush(
  shops: readonly Shop[],
  { path, stock, orders, customers, inOrder }: Rush,
  progress: (done: number) => void,
): Promise<Result> {
  const at = (shop: number) => `${shops[shop % shops.length]?.url}/products/${PRODUCT}`;
  const filled = await fetch(`${at(0)}/stock`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ stock }),
  });
  if (!filled.ok) throw new Error(`The shop could not be filled: ${filled.status} ${await filled.text()}`);

  const units: number[] = [];
  const failed: string[] = [];
  let [next, done, soldOut] = [0, 0, 0];
  const customer = async (): Promise<void> => {
    while (next < orders) {
      const answer = await fetch(`${at(next++)}/${path}`, { method: 'POST' });
      const body = (await answer.json()) as { unit?: number };
      if (answer.status === 201) units.push(body.unit ?? 0);
      else if (answer.status === 409) soldOut += 1;
      else failed.push(`${answer.status} ${JSON.stringify(body)}`);
      progress(++done);
    }
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: customers }, customer));
  const seconds = (performance.now() - startedAt) / 1_000;

  const testimonies = await Promise.all(shops.map((shop) => shop.report()));
  const visits = testimonies.flatMap((testimony) => testimony.visits);
  const waits = testimonies.flatMap((testimony) => testimony.waits);
  return {
    stock,
    sold: units.length,
    soldTwice: units.length - new Set(units).size,
    soldOut,
    failed,
    seconds,
    overlaps: violations(visits, { fifo: false, fencing: false }).length,
    waits: waits.map(({ milliseconds }) => milliseconds).toSorted((a, b) => a - b),
    handOvers: waits.filter(({ handedOver }) => handedOver).length,
    tokens: new Set(visits.flatMap(({ fencingToken }) => fencingToken ?? [])).size,
    violations: violations(visits, { fifo: inOrder, fencing: true }),
  };
}

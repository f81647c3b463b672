import { Test } from '@nestjs/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { AppModule } from './src/app.module.js';

async function shop(): Promise<string> {
  const module = await Test.createTestingModule({ imports: [AppModule] }).compile();
  const app = module.createNestApplication({ logger: false });
  onTestFinished(() => app.close());
  await app.listen(0, '127.0.0.1');
  return app.getUrl();
}

/** Forty customers want one of ten chairs, all at once. */
async function rush(url: string, path: string) {
  const stock = { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ stock: 10 }) };
  expect((await fetch(`${url}/products/chair/stock`, stock)).status).toBe(200);
  const orders = Array.from({ length: 40 }, () => fetch(`${url}/products/chair/${path}`, { method: 'POST' }));
  const statuses = (await Promise.all(orders)).map(({ status }) => status);
  const { sold } = (await (await fetch(`${url}/products/chair`)).json()) as { sold: number };
  return { sold, soldOut: statuses.filter((status) => status === 409).length, answers: new Set(statuses) };
}

describe('the shop', () => {
  it('sells more than it has without a lock', async () => {
    expect((await rush(await shop(), 'orders-without-lock')).sold).toBeGreaterThan(10);
  });

  it('sells exactly what it has with @Locked', async () => {
    expect(await rush(await shop(), 'orders')).toEqual({ sold: 10, soldOut: 30, answers: new Set([201, 409]) });
  });
});

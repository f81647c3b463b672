/** Run by Jest and by Vitest, both with their globals. */
import 'reflect-metadata';
import { Test } from '@nestjs/testing';
import { AppModule, Orders } from './orders.js';

declare function it(name: string, body: () => Promise<void>): void;
declare function expect(actual: unknown): { toEqual(expected: unknown): void };

it('ships one order at a time', async () => {
  const app = await Test.createTestingModule({ imports: [AppModule] }).compile();
  await app.init();
  const orders = app.get(Orders);
  await Promise.all([orders.ship('1'), orders.cancel('1')]);
  expect(orders.log).toEqual(['start', 'end', 'start', 'end']);
  await app.close();
});

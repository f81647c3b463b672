import type { CodeBlock } from '../docs/code-blocks.js';
import type { NestMajor } from './workshop.js';

export interface NewManifest {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  jest?: object;
}

/** What people mock with, under `bypassLocks()`: Suites and golevelup's `createMock`. */
export function mocks(nest: NestMajor): readonly CodeBlock[] {
  const runner = nest === 11 ? 'jest' : 'vitest';
  const code = `import { Injectable } from '@nestjs/common';
import { createMock } from '@golevelup/ts-${runner}';
import { TestBed } from '@suites/unit';
import { Locked, LockService } from 'nestjs-distributed-lock';

@Injectable()
class Prices {
  async of(id: string): Promise<number> { return id.length; }
}

@Injectable()
class Shop {
  constructor(private readonly prices: Prices, private readonly locks: LockService) {}

  @Locked('product:<id>')
  async price(id: string): Promise<number> { return this.prices.of(id); }

  sell(id: string): Promise<number> { return this.locks.withLock(id, () => this.price(id)); }
}

it('Suites makes the class with its parts mocked', async () => {
  const { unit, unitRef } = await TestBed.solitary(Shop).compile();
  (unitRef.get(Prices).of as unknown as { mockResolvedValue(value: number): void }).mockResolvedValue(5);
  expect(await unit.price('chair')).toBe(5);
});

it('createMock mocks a class with locked methods', async () => {
  const shop = createMock<Shop>({ price: async () => 7 });
  expect(await shop.price('chair')).toBe(7);
  const prices = createMock<Prices>({ of: async () => 8 });
  expect(await new Shop(prices, createMock<LockService>()).price('chair')).toBe(8);
});
`;
  return [{ where: 'test/compat/mocks.ts', file: 'src/mocks.spec.ts', code }];
}

/** The set-up file in the configuration of the test runner, as the README says it. */
export function asTheReadmeSays(
  manifest: NewManifest,
  edit: (file: string, change: (text: string) => string) => void,
): void {
  if (manifest.jest) Object.assign(manifest.jest, { setupFilesAfterEnv: ['<rootDir>/lock-setup.ts'] });
  else
    edit('vitest.config.ts', (text) =>
      text.replace('globals: true,', "globals: true,\n    setupFiles: ['src/lock-setup.ts'],"),
    );
}

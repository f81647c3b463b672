import { randomBytes } from 'node:crypto';
import { appendFile, mkdtemp, readFile, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, type OnModuleInit } from '@nestjs/common';

export interface Sale {
  readonly product: string;
  /** The number of the unit that was sold: the stock before this sale. */
  readonly unit: number;
}

/**
 * The stock, in a folder that all processes of the shop share. It stands for any store that a service reads, thinks about and writes
 * back: between the read and the write another request may do the same.
 */
@Injectable()
export class Warehouse implements OnModuleInit {
  private folder = process.env['WAREHOUSE'] ?? '';

  async onModuleInit(): Promise<void> {
    this.folder ||= await mkdtemp(join(tmpdir(), 'warehouse-'));
  }

  async stockOf(product: string): Promise<number> {
    return Number(await readFile(this.file(product, 'stock'), 'utf8'));
  }

  async fill(product: string, stock: number): Promise<void> {
    await writeFile(this.file(product, 'sales'), '');
    await this.store(product, stock);
  }

  /** Hands out one unit; `undefined` when there is none left. */
  async takeOne(product: string): Promise<Sale | undefined> {
    const stock = await this.stockOf(product);
    if (stock <= 0) return undefined;
    await sleep(5); // somebody walks to the shelf
    await this.store(product, stock - 1);
    await appendFile(this.file(product, 'sales'), `${stock}\n`);
    return { product, unit: stock };
  }

  /** What was sold, in order. */
  async salesOf(product: string): Promise<readonly Sale[]> {
    const lines = await readFile(this.file(product, 'sales'), 'utf8');
    return lines
      .split('\n')
      .filter((line) => line !== '')
      .map((unit) => ({ product, unit: Number(unit) }));
  }

  private async store(product: string, stock: number): Promise<void> {
    const draft = this.file(product, randomBytes(4).toString('hex'));
    await writeFile(draft, String(stock));
    await rename(draft, this.file(product, 'stock'));
  }

  private file(product: string, what: string): string {
    return join(this.folder, `${encodeURIComponent(product)}.${what}`);
  }
}

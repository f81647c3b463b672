import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { Locked } from 'nestjs-distributed-lock';

@Injectable()
export class RatesService {
  private readonly rates = new Map<string, number>();
  fetched = 0;

  rateOf(currency: string): number | undefined {
    return this.rates.get(currency);
  }

  /** One process fetches, the others go on with what they have. */
  @Locked('rate:<currency>', { onBusy: 'skip' })
  async refresh(currency: string): Promise<void> {
    this.fetched++;
    await sleep(100); // the central bank takes its time
    this.rates.set(currency, 1.25);
  }
}

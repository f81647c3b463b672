import { AsyncLocalStorage } from 'node:async_hooks';
import type { INestApplication } from '@nestjs/common';
import { currentLock, LockService } from 'nestjs-distributed-lock';
import type { Hold } from '../../lib/testing/contract/history.js';
import { OrdersService } from '../01-orders/src/orders.service.js';
import { Warehouse } from '../01-orders/src/warehouse.js';

/** What one shop saw, of one round. */
export interface Testimony {
  /** Each time that somebody was at the shelf, with or without a lock. */
  readonly visits: readonly Hold[];
  readonly waits: readonly { readonly milliseconds: number; readonly handedOver: boolean }[];
}

/** Milliseconds of the machine's monotonic clock: the same in every process, so that times of several can be compared. */
const now = (): number => Number(process.hrtime.bigint()) / 1e6;

/**
 * Looks on from outside: it notes when somebody asks for the lock, goes to the shelf and leaves it, and changes nothing. A time is
 * noted before what it is the beginning of and after what it is the end of, however long this process stood still in between: so
 * an order of two of them that looks wrong is wrong.
 */
export class Witness {
  #visits: Hold[] = [];
  #waits: { milliseconds: number; handedOver: boolean }[] = [];
  readonly #queued = new Map<string, number>();
  readonly #asked = new AsyncLocalStorage<number>();
  #strangers = 0;

  constructor(app: INestApplication) {
    app.get(LockService).events$.subscribe((event) => {
      if (event.type === 'waiting') this.#queued.set(event.owner, now());
      if (event.type !== 'acquired') return;
      this.#waits.push({ milliseconds: event.waitedMs, handedOver: event.contended });
    });
    const orders = app.get(OrdersService);
    const place = orders.place.bind(orders);
    orders.place = (product) => this.#asked.run(now(), place, product);
    const warehouse = app.get(Warehouse);
    const takeOne = warehouse.takeOne.bind(warehouse);
    warehouse.takeOne = async (product) => {
      const from = now();
      const lock = currentLock();
      const sale = await takeOne(product);
      this.#note(product, from, now(), lock?.owner, lock?.fencingToken);
      return sale;
    };
  }

  /** Since it was last asked. */
  report(): Testimony {
    const testimony = { visits: this.#visits, waits: this.#waits };
    this.#visits = [];
    this.#waits = [];
    return testimony;
  }

  #note(
    key: string,
    from: number,
    to: number,
    owner = `${process.pid}:nobody:${++this.#strangers}`,
    fencingToken?: bigint,
  ): void {
    const [asked = from, queued] = [this.#asked.getStore(), this.#queued.get(owner)];
    this.#visits.push({ key, owner, mode: 'exclusive', limit: 1, fencingToken, asked, queued, from, to });
  }
}

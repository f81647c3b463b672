import { setImmediate } from 'node:timers/promises';

/** Counts how many work in it at the same time. */
export class Workshop {
  #working = 0;
  most = 0;
  readonly visits: string[] = [];

  async work<T>(result: T, visit = String(result)): Promise<T> {
    this.#working += 1;
    this.most = Math.max(this.most, this.#working);
    this.visits.push(visit);
    // Long enough for anybody who may come in to do so.
    for (let turn = 0; turn < 3; turn += 1) await setImmediate();
    this.#working -= 1;
    return result;
  }
}

import { onAbort } from '../time/abort.js';
import type { Clock } from '../time/clock.js';

/** One at a time within this process, in arrival order. */
export class LocalLine {
  #taken = false;
  readonly #waiting = new Set<() => void>();

  /** Resolves to whether your turn came before the deadline. Rejects with the signal's reason. */
  async enter(clock: Clock, deadline: number, signal?: AbortSignal): Promise<boolean> {
    if (!this.#taken) {
      this.#taken = true;
      return true;
    }
    signal?.throwIfAborted();
    return new Promise<boolean>((resolve, reject) => {
      const end = (): void => {
        this.#waiting.delete(go);
        cancel?.();
        stop?.();
      };
      const go = (): void => {
        end();
        resolve(true);
      };
      const cancel =
        deadline === Infinity
          ? undefined
          : clock.after(deadline - clock.now(), () => {
              end();
              resolve(false);
            });
      const stop =
        signal &&
        onAbort(signal, () => {
          end();
          reject(signal.reason as Error);
        });
      this.#waiting.add(go);
    });
  }

  leave(): void {
    const [next] = this.#waiting;
    if (next) next();
    else this.#taken = false;
  }
}

import type { LockObserver } from '../../lock/instrumentation.js';
import { orWarn } from './or-warn.js';

/** Runs the work inside the context that the observer sets up. Whatever the observer does, the work runs once and its result is its own. */
export function within<T>(observer: LockObserver | undefined, work: () => T): T {
  if (!observer?.around) return work();
  let outcome: { readonly value: T } | { readonly error: unknown } | undefined;
  const once = (): void => {
    if (outcome) return;
    try {
      outcome = { value: work() };
    } catch (error) {
      outcome = { error };
    }
  };
  orWarn('LockInstrumentation', () => observer.around?.(once));
  if (!outcome) return work();
  if ('error' in outcome) throw outcome.error;
  return outcome.value;
}

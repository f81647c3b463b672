import type { LockCall, LockInstrumentation, LockObserver } from '../../lock/instrumentation.js';
import { orWarn, warnOf } from './or-warn.js';

/** Asks for an observer of a call; `undefined` if there never is one. */
export type Observe = ((call: LockCall) => LockObserver | undefined) | undefined;

/** Combines several instrumentations. Each wraps the work together with what the later ones put around it. */
export function observing(instrumentations: readonly LockInstrumentation[]): Observe {
  const [only, ...others] = instrumentations;
  if (only === undefined) return undefined;
  if (others.length === 0) return (call) => observerOf(only, call);
  return (call) => {
    const observers = instrumentations.flatMap((each) => observerOf(each, call) ?? []);
    return observers.length > 1 ? together(observers) : observers[0];
  };
}

function observerOf(instrumentation: LockInstrumentation, call: LockCall): LockObserver | undefined {
  try {
    return instrumentation.onCall(call);
  } catch (error) {
    warnOf('LockInstrumentation', error);
    return undefined;
  }
}

function together(observers: readonly LockObserver[]): LockObserver {
  return {
    onEvent(event) {
      for (const observer of observers) orWarn('LockInstrumentation', () => observer.onEvent(event));
    },
    around(work) {
      const inside = observers.reduceRight<() => void>(
        (inner, observer) => (observer.around ? () => observer.around?.(inner) : inner),
        work,
      );
      inside();
    },
  };
}

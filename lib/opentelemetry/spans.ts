import {
  type Attributes,
  context,
  type Context,
  type Span,
  SpanStatusCode,
  trace,
  type Tracer,
} from '@opentelemetry/api';
import type { LockEvent, LockEventOf } from '../lock/events.js';
import type { LockCall, LockObserver } from '../lock/instrumentation.js';
import { messageOf } from '../lock/messages.js';
import type { Outcome } from '../metrics/tally.js';

/** The spans of one call for a lock: its wait, then its hold, both children of the caller's. */
export class CallSpans implements LockObserver {
  #hold: Span | undefined;

  private constructor(
    private readonly tracer: Tracer,
    private readonly call: LockCall,
    private readonly tellsAll: boolean,
    private readonly caller: Context,
    private readonly wait: Span,
    private readonly counted: LockObserver | undefined,
  ) {}

  /**
   * `undefined` when nobody would see them: there is no SDK, or the trace is not sampled.
   *
   * @param tellsAll whether they tell keys and the messages of errors
   * @param counted who hears of each event as well
   */
  static start(
    tracer: Tracer,
    call: LockCall,
    tellsAll: boolean,
    counted: LockObserver | undefined,
  ): CallSpans | undefined {
    const caller = context.active();
    const wait = tracer.startSpan(titled('acquire', call), { attributes: attributesOf(call, tellsAll) }, caller);
    return wait.isRecording() ? new CallSpans(tracer, call, tellsAll, caller, wait, counted) : undefined;
  }

  onEvent(event: LockEvent): void {
    this.counted?.onEvent(event);
    switch (event.type) {
      case 'waiting':
        this.wait.addEvent('waiting');
        break;
      case 'acquired':
        this.#ended(event);
        this.#hold = this.#startHold();
        break;
      case 'skipped':
        this.#ended(event);
        break;
      case 'timeout':
        failed(this.wait, event.type, 'the key stayed busy');
        this.#ended(event);
        break;
      case 'failed':
        failed(this.wait, event.reasonCode, this.tellsAll ? messageOf(event.error) : undefined);
        this.#ended(event);
        break;
      case 'renewal-failed':
        this.#hold?.addEvent('renewal failed', { 'lock.remaining_ms': Math.round(event.remainingMs) });
        break;
      case 'release-unknown':
        this.#hold?.addEvent('release unconfirmed');
        break;
      case 'lost':
        if (this.#hold) failed(this.#hold, event.reasonCode, `the lock was lost: ${event.reason}`);
        this.#hold?.end();
        break;
      case 'released':
        this.#hold?.end();
        break;
    }
  }

  /** The hold's span is active in the work. */
  around(work: () => void): void {
    if (this.#hold) context.with(trace.setSpan(context.active(), this.#hold), work);
    else work();
  }

  #ended({ type, contended }: LockEventOf<Outcome>): void {
    this.wait.setAttribute('lock.outcome', type);
    this.wait.setAttribute('lock.contended', contended);
    this.wait.end();
  }

  #startHold(): Span {
    const { call, tracer, tellsAll, caller } = this;
    return tracer.startSpan(titled('hold', call), { attributes: attributesOf(call, tellsAll) }, caller);
  }
}

/** Few different ones: a span is named for what it does, and not for the order that it does it to. */
const titled = (verb: string, { name }: LockCall): string => `${verb} ${name ?? 'lock'}`;

/** Each lock has two of them, so they are filled in field by field. */
function attributesOf({ keys, backend, kind, mode, name, method }: LockCall, tellsAll: boolean): Attributes {
  const attributes: Attributes = { 'lock.backend': backend, 'lock.system': kind, 'lock.mode': mode };
  if (name !== undefined) attributes['lock.name'] = name;
  if (method !== undefined) attributes['code.function.name'] = method;
  if (tellsAll) attributes['lock.keys'] = [...keys];
  return attributes;
}

function failed(span: Span, type: string, message: string | undefined): void {
  span.setAttribute('error.type', type);
  span.setStatus({ code: SpanStatusCode.ERROR, ...(message !== undefined && { message }) });
}

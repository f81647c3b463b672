import {
  type Attributes,
  context,
  type Context,
  type Span,
  SpanStatusCode,
  trace,
  type Tracer,
} from '@opentelemetry/api';
import type { LockEvent } from '../lock/events.js';
import type { LockCall, LockObserver } from '../lock/instrumentation.js';
import { messageOf } from '../lock/messages.js';

/** The spans of one call for a lock: its wait, then its hold, both children of the caller's. */
export class CallSpans implements LockObserver {
  #hold: Span | undefined;

  private constructor(
    private readonly tracer: Tracer,
    private readonly call: LockCall,
    private readonly tellsAll: boolean,
    private readonly caller: Context,
    private readonly wait: Span,
    private readonly attributes: Attributes,
  ) {}

  /** `undefined` when nobody would see them: there is no SDK, or the trace is not sampled. */
  static start(tracer: Tracer, call: LockCall, tellsAll: boolean): CallSpans | undefined {
    const caller = context.active();
    const attributes = attributesOf(call, tellsAll);
    const wait = tracer.startSpan(titled('acquire', call), { attributes }, caller);
    return wait.isRecording() ? new CallSpans(tracer, call, tellsAll, caller, wait, attributes) : undefined;
  }

  onEvent(event: LockEvent): void {
    switch (event.type) {
      case 'waiting':
        this.wait.addEvent('waiting');
        break;
      case 'acquired':
        this.#ended('acquired', event.contended);
        this.#hold = this.tracer.startSpan(titled('hold', this.call), { attributes: this.attributes }, this.caller);
        break;
      case 'skipped':
        this.#ended('skipped', event.contended);
        break;
      case 'timeout':
        this.#failed(this.wait, 'timeout', 'the key stayed busy');
        this.#ended('timeout', event.contended);
        break;
      case 'failed':
        this.#failed(this.wait, event.reasonCode, this.tellsAll ? messageOf(event.error) : undefined);
        this.#ended('failed', event.contended);
        break;
      case 'renewal-failed':
        this.#hold?.addEvent('renewal failed', { 'lock.remaining_ms': Math.round(event.remainingMs) });
        break;
      case 'release-unknown':
        this.#hold?.addEvent('release unconfirmed');
        break;
      case 'lost':
        if (this.#hold) this.#failed(this.#hold, event.reasonCode, `the lock was lost: ${event.reason}`);
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

  #ended(outcome: string, contended: boolean): void {
    this.wait.setAttribute('lock.outcome', outcome);
    this.wait.setAttribute('lock.contended', contended);
    this.wait.end();
  }

  #failed(span: Span, type: string, message: string | undefined): void {
    span.setAttribute('error.type', type);
    span.setStatus({ code: SpanStatusCode.ERROR, ...(message !== undefined && { message }) });
  }
}

/** Few different ones: a span is named for what it does, and not for the order that it does it to. */
const titled = (verb: string, { name }: LockCall): string => `${verb} ${name ?? 'lock'}`;

function attributesOf({ keys, backend, kind, mode, name, method }: LockCall, tellsAll: boolean): Attributes {
  return {
    'lock.backend': backend,
    'lock.system': kind,
    'lock.mode': mode,
    ...(name !== undefined && { 'lock.name': name }),
    ...(method !== undefined && { 'code.function.name': method }),
    ...(tellsAll && { 'lock.keys': [...keys] }),
  };
}

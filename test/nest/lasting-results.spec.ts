import {
  type CallHandler,
  Controller,
  type ExecutionContext,
  Get,
  Injectable,
  type NestInterceptor,
  Sse,
  StreamableFile,
  UseInterceptors,
} from '@nestjs/common';
import { currentLock, Locked, LockInterceptor, LockLostError, LockService } from 'nestjs-distributed-lock';
import { PassThrough, Readable } from 'node:stream';
import { map, Observable, Subject } from 'rxjs';
import { beforeEach, describe, expect, test } from 'vitest';
import { applicationWith, isHeld, nextEvent, serverWith } from './support/application.js';
import { Gate } from './support/gate.js';

let source: Subject<string>;
let body: PassThrough;
let entered: Gate;
let cleaned: boolean;

beforeEach(() => {
  source = new Subject();
  body = new PassThrough();
  entered = new Gate();
  unwrapped = new Gate();
  cleaned = false;
});

let unwrapped: Gate;
let taken: AsyncIterable<unknown> | undefined;

/** Reads the result where a subscription or a gateway would. */
class Unwrap implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler<AsyncIterable<unknown>>): Observable<unknown> {
    return next.handle().pipe(
      map((value) => {
        taken = value;
        unwrapped.open();
        return 'taken';
      }),
    );
  }
}

async function* rows() {
  try {
    yield `row ${currentLock()?.held}`;
    yield `row ${currentLock()?.held}`;
  } finally {
    cleaned = true;
  }
}

@Injectable()
class Reports {
  @Locked('report')
  async observable(): Promise<Observable<string>> {
    return new Observable((subscriber) => {
      entered.open();
      return source.subscribe(subscriber);
    });
  }

  @Locked('report')
  async iterable(): Promise<AsyncIterable<string>> {
    return rows();
  }

  @Locked('report')
  // A promise, though not an async function.
  iterator(): Promise<AsyncGenerator<string>> {
    return Promise.resolve(rows());
  }

  @Locked('report')
  async cursor() {
    return { size: 2, count: () => 2, [Symbol.asyncIterator]: rows };
  }

  @Locked('report')
  async readable(): Promise<Readable> {
    return body;
  }

  @Locked('report')
  async web(): Promise<ReadableStream> {
    return Readable.toWeb(body) as ReadableStream;
  }

  @Locked('report')
  async response(): Promise<Response> {
    return new Response('text', { status: 201 });
  }

  @Locked('report')
  async failing(): Promise<AsyncIterable<string>> {
    return (async function* () {
      yield 'row';
      throw new Error('disk');
    })();
  }
}

const start = () => applicationWith({ providers: [Reports] });

describe('a promise of an Observable', () => {
  test('keeps its lock until it completes', async () => {
    const application = await start();
    const stream = await application.get(Reports).observable();
    expect(await isHeld(application, 'report')).toBe(true);
    const seen: string[] = [];
    const over = new Promise<void>(
      (complete) => void stream.subscribe({ next: (value) => seen.push(value), complete }),
    );
    source.next('a');
    expect(await isHeld(application, 'report')).toBe(true);
    source.complete();
    await over;
    expect([seen, await isHeld(application, 'report')]).toEqual([['a'], false]);
  });

  test('or until it is unsubscribed; later it says that its lock is gone', async () => {
    const application = await start();
    const stream = await application.get(Reports).observable();
    const released = nextEvent(application, 'released');
    stream.subscribe().unsubscribe();
    await released;
    const error = await new Promise((fail) => void stream.subscribe({ error: fail }));
    expect(error).toBeInstanceOf(LockLostError);
  });

  test('fails when the lock is lost', async () => {
    const application = await start();
    const stream = await application.get(Reports).observable();
    const failed = new Promise((fail) => void stream.subscribe({ error: fail }));
    await application.get(LockService).forceRelease('report');
    expect(await failed).toBeInstanceOf(LockLostError);
    expect(source.observed).toBe(false);
  });
});

describe('a promise of an async iterable', () => {
  test.each(['iterable', 'iterator', 'cursor'] as const)('keeps its lock to its end: %s', async (method) => {
    const application = await start();
    const result = await application.get(Reports)[method]();
    expect(await isHeld(application, 'report')).toBe(true);
    const seen: string[] = [];
    for await (const row of result) seen.push(row);
    expect([seen, await isHeld(application, 'report')]).toEqual([['row true', 'row true'], false]);
  });

  test('lets go when it is left, or fails', async () => {
    const application = await start();
    for await (const _ of await application.get(Reports).iterable()) break;
    expect([cleaned, await isHeld(application, 'report')]).toEqual([true, false]);

    const read = async () => {
      for await (const _ of await application.get(Reports).failing());
    };
    await expect(read()).rejects.toThrow('disk');
    expect(await isHeld(application, 'report')).toBe(false);
  });

  test('fails at the next step when the lock is lost, after it has cleaned up', async () => {
    const application = await start();
    const iterator = (await application.get(Reports).iterable())[Symbol.asyncIterator]();
    await iterator.next();
    await application.get(LockService).forceRelease('report');
    await expect(iterator.next()).rejects.toBeInstanceOf(LockLostError);
    expect(cleaned).toBe(true);
  });

  test('keeps the other members of its object', async () => {
    const application = await start();
    const cursor = await application.get(Reports).cursor();
    expect([cursor.size, cursor.count()]).toEqual([2, 2]);
    for await (const _ of cursor);
  });
});

describe('a promise of bytes', () => {
  test('a Node stream keeps its lock to its end, and is itself', async () => {
    const application = await start();
    const stream = await application.get(Reports).readable();
    expect(stream).toBe(body);
    expect(await isHeld(application, 'report')).toBe(true);
    const released = nextEvent(application, 'released');
    stream.resume();
    body.end('text');
    await released;
  });

  test('a Node stream is destroyed when the lock is lost', async () => {
    const application = await start();
    const stream = await application.get(Reports).readable();
    const failed = new Promise((fail) => void stream.once('error', fail));
    await application.get(LockService).forceRelease('report');
    expect(await failed).toBeInstanceOf(LockLostError);
  });

  test('a web stream and a response do too', async () => {
    const application = await start();
    const reader = (await application.get(Reports).web()).getReader();
    body.write('a');
    await reader.read();
    expect(await isHeld(application, 'report')).toBe(true);
    const cancelled = nextEvent(application, 'released');
    await reader.cancel();
    await cancelled;

    const response = await application.get(Reports).response();
    expect([response.status, await isHeld(application, 'report')]).toEqual([201, true]);
    expect([await response.text(), await isHeld(application, 'report')]).toEqual(['text', false]);
  });
});

describe('a route', () => {
  @Controller()
  class Routes {
    @Sse('events')
    @Locked('report')
    async events(): Promise<Observable<{ data: string }>> {
      return new Observable((subscriber) => source.subscribe((data) => subscriber.next({ data })));
    }

    @Get('file')
    @Locked('report')
    async file(): Promise<StreamableFile> {
      return new StreamableFile(body);
    }
  }

  test('that gives a file keeps its lock until it has gone out', async () => {
    const application = await serverWith({ controllers: [Routes] });
    body.write('first ');
    const response = await fetch(`${application.url}/file`);
    expect(await isHeld(application, 'report')).toBe(true);
    const released = nextEvent(application, 'released');
    body.end('second');
    expect(await response.text()).toBe('first second');
    await released;
  });

  test('of server-sent events keeps it until its client leaves', async () => {
    const application = await serverWith({ controllers: [Routes] });
    const leaving = new AbortController();
    const response = await fetch(`${application.url}/events`, { signal: leaving.signal });
    const reader = response.body!.getReader();
    source.next('one');
    await reader.read();
    expect(await isHeld(application, 'report')).toBe(true);
    const released = nextEvent(application, 'released');
    leaving.abort();
    await released;
  });
});

describe('a handler under LockInterceptor', () => {
  @Controller()
  class Routes {
    @Get('rows')
    @UseInterceptors(Unwrap, LockInterceptor('report'))
    async rows(): Promise<AsyncIterable<string>> {
      return rows();
    }
  }

  test('that gives an async iterable keeps its lock until that is read', async () => {
    const application = await serverWith({ controllers: [Routes] });
    const response = fetch(`${application.url}/rows`);
    const iterator = (await unwrapped.passed, taken!)[Symbol.asyncIterator]();
    await iterator.next();
    expect(await isHeld(application, 'report')).toBe(true);
    const released = nextEvent(application, 'released');
    await iterator.return?.();
    await Promise.all([released, response]);
  });
});

describe('an async generator that is left while it waits', () => {
  @Injectable()
  class Exports {
    @Locked('export')
    async *rows() {
      entered.open();
      yield 1;
    }
  }

  test('leaves the line at once and never begins', async () => {
    const application = await applicationWith({ providers: [Exports] });
    const other = await application.get(LockService).acquire('export');
    const waiting = nextEvent(application, 'waiting');
    const generator = application.get(Exports).rows();
    const first = generator.next();
    await waiting;
    expect(await generator.return(undefined)).toEqual({ done: true, value: undefined });
    expect(await first).toEqual({ done: true, value: undefined });
    expect((await application.get(LockService).inspect('export')).waiting).toBe(0);
    await other.release();
    expect(await isHeld(application, 'export')).toBe(false);
  });
});

import { Injectable } from '@nestjs/common';
import {
  currentLock,
  Locked,
  LockConfigurationError,
  LockKeyError,
  LockLostError,
  LockService,
} from 'nestjs-distributed-lock';
import {
  concat,
  defer,
  EMPTY,
  firstValueFrom,
  from,
  lastValueFrom,
  NEVER,
  Observable,
  of,
  Subject,
  take,
  tap,
  throwError,
  toArray,
} from 'rxjs';
import { describe, expect, test } from 'vitest';
import { type Application, applicationWith, isHeld, nextEvent } from './support/application.js';
import { Gate } from './support/gate.js';
import { Workshop } from './support/workshop.js';

describe('a method that returns an Observable', () => {
  @Injectable()
  class Feeds {
    readonly workshop = new Workshop();
    readonly begun: string[] = [];
    readonly ended: string[] = [];

    @Locked('feed:<id>')
    watch(id: string, source: Observable<unknown>): Observable<unknown> {
      this.begun.push(id);
      return new Observable((subscriber) => {
        const subscription = source.subscribe(subscriber);
        return () => {
          this.ended.push(id);
          subscription.unsubscribe();
        };
      });
    }

    @Locked('feed:<id>')
    one(id: string): Observable<string> {
      return defer(() => this.workshop.work(id));
    }

    @Locked('feed:<id>')
    subject(id: string): Subject<string> {
      const subject = new Subject<string>();
      queueMicrotask(() => {
        subject.next(id);
        subject.complete();
      });
      return subject;
    }

    @Locked('feed:<id>')
    fail(id: string): Observable<string> {
      throw new Error(`no feed ${id}`);
    }
  }

  const feedsIn = async (): Promise<{ application: Application; feeds: Feeds }> => {
    const application = await applicationWith({ providers: [Feeds] });
    return { application, feeds: application.get(Feeds) };
  };

  test('asks for nothing and does not run until somebody subscribes', async () => {
    const { application, feeds } = await feedsIn();
    const events: unknown[] = [];
    application.get(LockService).events$.subscribe((event) => events.push(event));
    const feed = feeds.watch('7', of('x'));
    expect(feed).toBeInstanceOf(Observable);
    expect([feeds.begun, events]).toEqual([[], []]);
    expect(await lastValueFrom(feed)).toBe('x');
    expect(feeds.begun).toEqual(['7']);
  });

  test('holds the lock while it is subscribed, and releases when it completes', async () => {
    const { application, feeds } = await feedsIn();
    const source = new Subject<string>();
    const begun = new Gate();
    const feed = feeds.watch('7', concat(of('a'), source)).pipe(tap(begun.open), toArray());
    const values = lastValueFrom(feed);
    await begun.passed;
    expect(await isHeld(application, 'feed:7')).toBe(true);
    source.next('b');
    source.complete();
    expect(await values).toEqual(['a', 'b']);
    expect(await isHeld(application, 'feed:7')).toBe(false);
  });

  test('releases when it fails, with the error of the source', async () => {
    const { application, feeds } = await feedsIn();
    const feed = feeds.watch(
      '7',
      throwError(() => new Error('broken')),
    );
    await expect(lastValueFrom(feed)).rejects.toThrow('broken');
    await expect(lastValueFrom(feeds.fail('7'))).rejects.toThrow('no feed 7');
    expect(await isHeld(application, 'feed:7')).toBe(false);
  });

  test('releases when it is unsubscribed', async () => {
    const { application, feeds } = await feedsIn();
    const released = nextEvent(application, 'released');
    expect(await firstValueFrom(feeds.watch('7', concat(of('first'), NEVER)))).toBe('first');
    await released;
    expect(feeds.ended).toEqual(['7']);
    expect(await isHeld(application, 'feed:7')).toBe(false);
  });

  test('stops an endless synchronous source at once', async () => {
    const { feeds } = await feedsIn();
    let given = 0;
    const endless = from(
      (function* () {
        for (;;) yield (given += 1);
      })(),
    );
    expect(await lastValueFrom(feeds.watch('7', endless).pipe(take(3), toArray()))).toEqual([1, 2, 3]);
    expect(given).toBe(3);
  });

  test('leaves the line when it is unsubscribed while it waits, and never runs', async () => {
    const { application, feeds } = await feedsIn();
    const locks = application.get(LockService);
    const lock = await locks.acquire('feed:7');
    const waiting = nextEvent(application, 'waiting');
    const subscription = feeds.watch('7', of('x')).subscribe();
    await waiting;
    const failed = nextEvent(application, 'failed');
    subscription.unsubscribe();
    await failed;
    expect((await locks.inspect('feed:7')).waiting).toBe(0);
    await lock.release();
    expect(feeds.begun).toEqual([]);
  });

  test('acquires for each subscription, one after another', async () => {
    const { feeds } = await feedsIn();
    const feed = feeds.one('7');
    expect(await Promise.all([1, 2, 3].map(() => lastValueFrom(feed)))).toEqual(['7', '7', '7']);
    expect(feeds.workshop).toMatchObject({ most: 1, visits: ['7', '7', '7'] });
  });

  test('runs in the context of its lock', async () => {
    const { feeds } = await feedsIn();
    const source = defer(() => of(currentLock()?.key));
    expect(await lastValueFrom(feeds.watch('7', source))).toBe('feed:7');
  });

  test('ends with LockLostError when the lock is lost, and the source is unsubscribed', async () => {
    const { application, feeds } = await feedsIn();
    const begun = new Gate();
    const source = concat(of('first'), NEVER);
    const feed = lastValueFrom(feeds.watch('7', source).pipe(tap(begun.open)));
    await begun.passed;
    await application.get(LockService).forceRelease('feed:7');
    await expect(feed).rejects.toThrow(LockLostError);
    expect(feeds.ended).toEqual(['7']);
  });

  test('gives a key that cannot be made as its error', async () => {
    const { feeds } = await feedsIn();
    await expect(lastValueFrom(feeds.watch(undefined as never, EMPTY))).rejects.toThrow(LockKeyError);
    expect(feeds.begun).toEqual([]);
  });

  test('may be declared as a kind of Observable', async () => {
    const { feeds } = await feedsIn();
    expect(await lastValueFrom(feeds.subject('7') as Observable<string>)).toBe('7');
  });

  test('without saying so is refused before the stream begins', async () => {
    @Injectable()
    class Silent {
      subscriptions = 0;
      @Locked('feed')
      watch() {
        return new Observable<string>(() => {
          this.subscriptions += 1;
        }) as Observable<string> | Promise<string>;
      }
    }
    const application = await applicationWith({ providers: [Silent] });
    const call = application.get(Silent).watch() as Promise<string>;
    await expect(call).rejects.toThrow(LockConfigurationError);
    await expect(call).rejects.toThrow(
      /Silent.watch returned an Observable.*Declare the return type `: Observable<T>`/,
    );
    expect(application.get(Silent).subscriptions).toBe(0);
    expect(await isHeld(application, 'feed')).toBe(false);
  });

  test('takes what `onBusy` gives instead', async () => {
    @Injectable()
    class Busy {
      @Locked('feed', { onBusy: 'skip' })
      skip(): Observable<string> {
        return of('ran');
      }
      @Locked('feed', { wait: 0, onBusy: ({ key }) => `busy: ${key}` })
      value(): Observable<string> {
        return of('ran');
      }
    }
    const { get } = await applicationWith({ providers: [Busy] });
    const lock = await get(LockService).acquire('feed');
    expect(await lastValueFrom(get(Busy).skip().pipe(toArray()))).toEqual([]);
    expect(await lastValueFrom(get(Busy).value().pipe(toArray()))).toEqual(['busy: feed']);
    await lock.release();
    expect(await lastValueFrom(get(Busy).skip())).toBe('ran');
  });
});

describe('an async generator', () => {
  @Injectable()
  class Pages {
    readonly steps: unknown[] = [];

    @Locked('pages:<id>')
    async *read(id: string, until = 3): AsyncGenerator<number, string, string | undefined> {
      try {
        for (let page = 1; page <= until; page += 1) this.steps.push(yield page);
        return id;
      } catch (error) {
        this.steps.push(error);
        return 'caught';
      } finally {
        this.steps.push('end');
      }
    }

    @Locked('pages:<id>')
    async *keys(id: string) {
      yield currentLock()?.key;
      await Promise.resolve(id);
      yield currentLock()?.key;
    }

    @Locked('pages:<id>')
    async *fail(id: string): AsyncGenerator<number> {
      yield 1;
      throw new Error(`no page of ${id}`);
    }
  }

  const pagesIn = async (): Promise<{ application: Application; pages: Pages }> => {
    const application = await applicationWith({ providers: [Pages] });
    return { application, pages: application.get(Pages) };
  };

  test('holds the lock from its first step to its end', async () => {
    const { application, pages } = await pagesIn();
    const reading = pages.read('7', 2);
    expect(await isHeld(application, 'pages:7')).toBe(false);
    expect(await reading.next()).toEqual({ done: false, value: 1 });
    expect(await isHeld(application, 'pages:7')).toBe(true);
    expect(await reading.next()).toEqual({ done: false, value: 2 });
    expect(await reading.next()).toEqual({ done: true, value: '7' });
    expect(await isHeld(application, 'pages:7')).toBe(false);
    expect(await reading.next()).toEqual({ done: true, value: undefined });
  });

  test('releases when its consumer breaks off, after it has cleaned up', async () => {
    const { application, pages } = await pagesIn();
    for await (const page of pages.read('7')) if (page === 2) break;
    expect(pages.steps).toEqual([undefined, 'end']);
    expect(await isHeld(application, 'pages:7')).toBe(false);
  });

  test('releases when it fails, with its own error', async () => {
    const { application, pages } = await pagesIn();
    const reading = pages.fail('7');
    await reading.next();
    await expect(reading.next()).rejects.toThrow('no page of 7');
    expect(await isHeld(application, 'pages:7')).toBe(false);
  });

  test('hears what its consumer sends and throws', async () => {
    const { pages } = await pagesIn();
    const reading = pages.read('7');
    await reading.next();
    await reading.next('sent');
    const thrown = new Error('thrown');
    expect(await reading.throw(thrown)).toEqual({ done: true, value: 'caught' });
    expect(pages.steps).toEqual(['sent', thrown, 'end']);
  });

  test('runs every step in the context of its lock', async () => {
    const { pages } = await pagesIn();
    const reading = pages.keys('7');
    expect(await reading.next()).toEqual({ done: false, value: 'pages:7' });
    expect(currentLock()).toBeUndefined();
    expect(await reading.next()).toEqual({ done: false, value: 'pages:7' });
  });

  test('waits for its turn', async () => {
    const { application, pages } = await pagesIn();
    const first = pages.read('7');
    await first.next();
    const waiting = nextEvent(application, 'waiting');
    const second = pages.read('7').next();
    await waiting;
    await first.return('enough');
    expect(await second).toEqual({ done: false, value: 1 });
    await application.get(LockService).forceRelease('pages:7');
  });

  test('is told of a lost lock at its next step, after it has cleaned up', async () => {
    const { application, pages } = await pagesIn();
    const reading = pages.read('7');
    await reading.next();
    const lost = nextEvent(application, 'lost');
    await application.get(LockService).forceRelease('pages:7');
    await lost;
    await expect(reading.next()).rejects.toThrow(LockLostError);
    expect(pages.steps).toEqual(['end']);
  });

  test('that finished after its lock was lost fails with LockLostError', async () => {
    const { application, pages } = await pagesIn();
    const reading = pages.read('7');
    await reading.next();
    const lost = nextEvent(application, 'lost');
    await application.get(LockService).forceRelease('pages:7');
    await lost;
    await expect(reading.return('enough')).rejects.toThrow(LockLostError);
  });

  test('gives a key that cannot be made as the error of its first step', async () => {
    const { pages } = await pagesIn();
    const reading = pages.read(null as never);
    await expect(reading.next()).rejects.toThrow(LockKeyError);
    expect(pages.steps).toEqual([]);
  });

  test('can be locked twice', async () => {
    @Injectable()
    class Twice {
      @Locked('a')
      @Locked('b')
      async *keys() {
        yield currentLock('a')?.key;
        yield currentLock('b')?.key;
      }
    }
    const application = await applicationWith({ providers: [Twice] });
    const keys = [];
    for await (const key of application.get(Twice).keys()) keys.push(key);
    expect(keys).toEqual(['a', 'b']);
    expect(await isHeld(application, 'a')).toBe(false);
  });

  test('takes what `onBusy` gives instead', async () => {
    @Injectable()
    class Busy {
      @Locked('pages', { onBusy: 'skip' })
      async *skip() {
        yield 'ran';
      }
      @Locked('pages', { wait: 0, onBusy: async () => 'busy' })
      async *value() {
        yield 'ran';
      }
      @Locked('pages', { wait: 0 })
      async *fail() {
        yield 'ran';
      }
    }
    const { get } = await applicationWith({ providers: [Busy] });
    await get(LockService).acquire('pages');
    expect(await get(Busy).skip().next()).toEqual({ done: true, value: undefined });
    expect(await get(Busy).value().next()).toEqual({ done: false, value: 'busy' });
    await expect(get(Busy).fail().next()).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' });
  });

  test('that is returned by an ordinary method is refused', async () => {
    @Injectable()
    class Silent {
      @Locked('pages')
      read(gate: Gate): AsyncIterable<unknown> {
        return (async function* () {
          yield gate.passed;
        })();
      }
    }
    const { get } = await applicationWith({ providers: [Silent] });
    const call = get(Silent).read(new Gate()) as unknown as Promise<unknown>;
    await expect(call).rejects.toThrow(
      /Silent.read returned an async iterable.*make the method an `async \*` generator/,
    );
  });
});

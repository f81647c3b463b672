import {
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  Injectable,
  Module,
  VersioningType,
} from '@nestjs/common';
import { APP_INTERCEPTOR, NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { DistributedLockModule, LockConfigurationError, LockService, memory } from 'nestjs-distributed-lock';
import { LockAdminModule, type LockAdminModuleOptions } from 'nestjs-distributed-lock/admin';
import { map } from 'rxjs';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { LockBackend } from '../../lib/backends/backend.js';
import { quorum } from '../../lib/backends/redlock/index.js';
import { eventually } from '../servers/eventually.js';
import { applicationWith, RecordingLogger, serverWith } from '../nest/support/application.js';
import { askForRelease, FROM_PAGE, openStream } from './frames.js';

const OPEN = { guards: [], path: 'ops/locks' } as const satisfies LockAdminModuleOptions;

/** An application with the page at `ops/locks`. */
async function pageWith(options: Partial<LockAdminModuleOptions> = {}, backend: LockBackend = memory()) {
  const server = await serverWith({
    imports: [
      DistributedLockModule.forRoot({ backend, shutdownGrace: 0, checkAtBoot: false }),
      LockAdminModule.forRoot({ ...OPEN, ...options }),
    ],
  });
  return { ...server, url: `${server.url}/ops/locks`, locks: server.get(LockService) };
}

@Injectable()
class Names {
  readonly allowed = 'let me in';
}

@Injectable()
class SecretGuard implements CanActivate {
  constructor(private readonly names: Names) {}
  canActivate(context: ExecutionContext): boolean {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string> }>();
    return headers['cookie'] === `word=${this.names.allowed}`;
  }
}

@Module({ providers: [Names], exports: [Names] })
class NamesModule {}

afterEach(() => vi.unstubAllEnvs());

describe.each([
  ['Express', () => new ExpressAdapter()],
  ['Fastify', () => new FastifyAdapter()],
])('the page on %s', (_name, adapter) => {
  it('is there below a prefix and with versions, whatever the application does to answers elsewhere', async () => {
    @Module({
      imports: [
        DistributedLockModule.forRoot({ backend: memory(), shutdownGrace: 0 }),
        LockAdminModule.forRoot({ ...OPEN, title: '<Orders>' }),
      ],
      providers: [
        {
          provide: APP_INTERCEPTOR,
          useValue: {
            intercept: (_: ExecutionContext, next: CallHandler) => next.handle().pipe(map((data) => ({ data }))),
          },
        },
      ],
    })
    class App {}
    const app = await NestFactory.create(App, adapter(), { logger: new RecordingLogger() });
    onTestFinished(() => app.close());
    app.setGlobalPrefix('api');
    app.enableVersioning({ type: VersioningType.URI, defaultVersion: '1' });
    await app.listen(0, '127.0.0.1');
    const url = `${await app.getUrl()}/api/ops/locks`;

    const page = await fetch(url);
    const html = await page.text();
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'none'; script-src 'self';(?!.*unsafe)/);
    expect(page.headers.get('cache-control')).toBe('no-store');
    expect(html).toContain('<title>&#60;Orders&#62;</title>');
    expect(html).not.toMatch(/<script(?! type="module" src=)|<style|style=|onclick|https?:/);

    const files = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address = '']) =>
      address.replaceAll('&amp;', '&'),
    );
    expect(files).toHaveLength(3);
    for (const address of files) {
      const file = await fetch(new URL(address, url));
      expect([file.status, file.headers.get('content-type')]).toEqual([
        200,
        expect.stringMatching(/^(text\/javascript|text\/css|image\/svg\+xml)/),
      ]);
    }
    expect((await fetch(`${url}?file=../../../package.json`)).status).toBe(404);

    const lock = await app.get(LockService).acquire('order:1');
    const stream = await openStream(url);
    expect(stream.response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const { rows } = await stream.until((frame) => frame.complete);
    expect(rows).toMatchObject([{ backend: 'default', key: 'order:1', held: 1, holders: [{ owner: lock.owner }] }]);
  });

  it('ends its streams when the application closes', async () => {
    @Module({ imports: [DistributedLockModule.forRoot({ backend: memory() }), LockAdminModule.forRoot(OPEN)] })
    class App {}
    const app = await NestFactory.create(App, adapter(), { logger: new RecordingLogger() });
    await app.listen(0, '127.0.0.1');
    const stream = await openStream(`${await app.getUrl()}/ops/locks`);
    await stream.until((frame) => frame.complete);
    await app.close();
    let frame: unknown;
    do frame = await stream.next();
    while (frame !== undefined);
  });
});

describe('who may see it', () => {
  it('the guards decide, for the page, its files, its stream and a release; they get what `imports` export', async () => {
    const { url, locks } = await pageWith({ guards: [SecretGuard], imports: [NamesModule], allowForceRelease: true });
    const { owner } = await locks.acquire('guarded');
    const body = { backend: 'default', key: 'guarded', owners: [owner] };
    for (const address of [url, `${url}?file=page.js`, `${url}?events=`])
      expect((await fetch(address)).status).toBe(403);
    expect((await askForRelease(url, body)).status).toBe(403);
    expect((await locks.inspect('guarded')).held).toBe(true);

    const cookie = 'word=let me in';
    expect((await fetch(url, { headers: { cookie } })).status).toBe(200);
    expect((await askForRelease(url, body, { ...FROM_PAGE, cookie })).status).toBe(200);
  });

  it('in production it is not mounted without guards, unless that is said to be right', async () => {
    vi.stubEnv('NODE_ENV', 'production');
    const start = (options: Partial<LockAdminModuleOptions>) =>
      applicationWith({ imports: [LockAdminModule.forRoot({ ...OPEN, ...options })] });
    await expect(start({})).rejects.toThrow(/LockAdminModule has no guards.*`unguarded: true`/);
    await expect(start({ unguarded: true })).resolves.toBeDefined();
    await expect(start({ guards: [{ canActivate: () => true }] })).resolves.toBeDefined();
    const forgotten = { path: 'locks' } as unknown as LockAdminModuleOptions;
    await expect(applicationWith({ imports: [LockAdminModule.forRoot(forgotten)] })).rejects.toThrow(
      /`guards`.*is missing/,
    );
  });
});

describe('a release by force', () => {
  it('takes the lock from the holders that were shown, and is logged', async () => {
    const { url, locks, logger } = await pageWith({ allowForceRelease: true });
    const lock = await locks.acquire('stuck');
    const lost = new Promise((resolve) => lock.signal.addEventListener('abort', resolve));
    const answer = await askForRelease(url, { backend: 'default', key: 'stuck', owners: [lock.owner] });
    expect([answer.status, await answer.json()]).toEqual([200, { outcome: 'released' }]);
    await lost;
    expect(logger.texts('warn').join()).toContain(
      `'stuck' on "default" was released by force from the page. It was held by ${lock.owner}.`,
    );
    expect(await (await askForRelease(url, { backend: 'default', key: 'stuck', owners: [] })).json()).toEqual({
      outcome: 'free',
    });
  });

  it('leaves a lock to somebody who got it meanwhile', async () => {
    const { url, locks } = await pageWith({ allowForceRelease: true });
    const lock = await locks.acquire('moved');
    const answer = await askForRelease(url, { backend: 'default', key: 'moved', owners: ['host-1-abcdefgh:1'] });
    expect(await answer.json()).toEqual({ outcome: 'changed' });
    expect(lock.held).toBe(true);
  });

  it('is refused unless the page itself asks for it, and unless it is allowed', async () => {
    const [{ url, locks }, closed] = await Promise.all([pageWith({ allowForceRelease: true }), pageWith()]);
    const lock = await locks.acquire('wanted');
    const body = { backend: 'default', key: 'wanted', owners: [lock.owner] };
    const page = { 'x-lock-admin': '1' };
    const { host, origin } = new URL(url);
    const refused: Record<string, string>[] = [
      {},
      { 'sec-fetch-site': 'same-origin' },
      page,
      { ...page, 'sec-fetch-site': 'cross-site' },
      { ...page, 'sec-fetch-site': 'same-site', origin },
      { ...page, origin: 'https://elsewhere.example' },
      { ...page, origin: 'null' },
    ];
    const answers = await Promise.all(refused.map((headers) => askForRelease(url, body, headers)));
    expect(answers.map(({ status }) => status)).toEqual(refused.map(() => 403));
    expect((await fetch(url, { method: 'POST', body: new URLSearchParams({ key: 'wanted' }) })).status).toBe(403);
    expect((await askForRelease(closed.url, body)).status).toBe(403);
    expect(lock.held).toBe(true);
    // A browser that is asked by plain http says nothing of the site.
    expect((await askForRelease(url, body, { ...page, origin: `http://${host}` })).status).toBe(200);
  });

  it('needs a lock and a backend', async () => {
    const { url } = await pageWith({ allowForceRelease: true });
    for (const body of [{}, { backend: 'default' }, { backend: 'default', key: 'a', owners: [1] }, []]) {
      expect((await askForRelease(url, body)).status).toBe(400);
    }
    expect((await askForRelease(url, { backend: 'other', key: 'a', owners: [] })).status).toBe(404);
  });
});

describe('what is looked at', () => {
  it('is looked at once for all who watch, and not at all when nobody does', async () => {
    const backend = memory();
    const { list } = backend;
    const looks = vi.fn<() => void>();
    // The application has the same one: memory is shared.
    backend.list = (query) => {
      looks();
      return list?.call(backend, query) ?? Promise.resolve({ keys: [] });
    };
    const { url, locks } = await pageWith({}, backend);
    await locks.acquire('one');
    expect(looks).not.toHaveBeenCalled();
    const streams = await Promise.all([openStream(url), openStream(url), openStream(url)]);
    // The second look of all.
    for (const stream of streams) {
      await stream.until(({ complete }) => complete);
      await stream.until(({ complete }) => complete);
    }
    expect(looks.mock.calls.length).toBeLessThanOrEqual(4);
    for (const stream of streams) stream.hangUp();
    // The page of another viewer begins with a look of its own, for the one before is forgotten when all have gone.
    const late = await eventually('the look of before is forgotten', async () => {
      const before = looks.mock.calls.length;
      const stream = await openStream(url);
      await stream.until(({ complete }) => complete);
      return looks.mock.calls.length > before && stream;
    });
    late.hangUp();
  });

  it('shows the first of many, those that the filter names, in the order that was asked for', async () => {
    const { url, locks } = await pageWith();
    for (let i = 0; i < 250; i++) await locks.acquire(`order:${i}`);
    const { owner } = await locks.acquire('report');
    const waiter = locks.acquire('order:7', { wait: '30s' }).catch(() => undefined);
    const all = await (await openStream(url)).until((frame) => frame.complete);
    expect(all.rows).toHaveLength(100);
    expect(all.rows[0]).toMatchObject({ key: 'order:7', waiting: 1, waiters: [{}] });
    expect(all).toMatchObject({ matching: 251, totals: { held: 251, waiting: 1, processes: 1 }, more: false });
    const some = await (
      await openStream(url, { filter: 'ORDER:24', sort: 'key', limit: '3' })
    ).until((frame) => frame.complete);
    expect(some.rows.map(({ key }) => key)).toEqual(['order:24', 'order:240', 'order:241']);
    expect(some.matching).toBe(11);
    const byOwner = await (
      await openStream(url, { filter: owner.split('-')[0] ?? '', limit: 'x' })
    ).until((frame) => frame.complete);
    expect(byOwner.matching).toBe(251);
    await locks.forceRelease('order:7');
    await waiter;
  });

  it('says which backend does not answer, once in the log, and shows its locks as they were', async () => {
    const backend = memory();
    const { list } = backend;
    let silent = false;
    backend.list = (query) =>
      silent
        ? Promise.reject(new Error('connection refused at db-1:6379'))
        : (list?.call(backend, query) ?? Promise.resolve({ keys: [] }));
    const { url, locks, logger } = await pageWith({}, backend);
    await locks.acquire('one');
    const stream = await openStream(url);
    await stream.until(({ complete, rows }) => complete && rows.length === 1);
    silent = true;
    const frame = await stream.until((each) => each.silent.length > 0);
    await stream.until((each) => each.silent.length > 0);
    expect(frame).toMatchObject({ silent: [{ backend: 'default', why: 'no answer' }], rows: [{ key: 'one' }] });
    // Where the server is, is for the log.
    expect(JSON.stringify(frame)).not.toContain('db-1');
    expect(logger.texts('warn').filter((text) => text.includes('db-1:6379'))).toHaveLength(1);
    silent = false;
    await stream.until((each) => each.silent.length === 0);
  });

  it('tells what each of several servers says of a lock', async () => {
    const backends = [memory(), memory(), memory()];
    const { url, locks } = await pageWith({}, quorum(backends));
    const lock = await locks.acquire('order:1');
    const stream = await openStream(url);
    const { rows } = await stream.until((frame) => frame.rows.length > 0);
    expect(rows[0]?.nodes).toEqual(
      [1, 2, 3].map((number) => ({ node: `memory (${number})`, owners: [lock.owner], waiting: 0 })),
    );
    await lock.release();
  });

  it('shows the waits of this process', async () => {
    const { url, locks } = await pageWith();
    const lock = await locks.acquire('short');
    await expect(locks.acquire('short', { wait: 20 })).rejects.toThrow(/short/);
    const next = locks.acquire('short');
    await lock.release();
    await next;
    const { waits } = await (await openStream(url)).until((frame) => frame.complete);
    const total = waits.bars.reduce(
      (sum, { count, failed }) => ({ count: sum.count + count, failed: sum.failed + failed }),
      {
        count: 0,
        failed: 0,
      },
    );
    expect(total).toEqual({ count: 2, failed: 1 });
  });
});

describe('options', () => {
  it('may come from a factory', async () => {
    const { url, app } = await serverWith({
      imports: [
        LockAdminModule.forRootAsync({
          guards: [],
          imports: [NamesModule],
          inject: [Names],
          useFactory: (names: Names) => ({ title: names.allowed, allowForceRelease: true }),
        }),
      ],
    });
    expect(app).toBeDefined();
    expect(await (await fetch(`${url}/locks`)).text()).toMatch(/data-release[^]*<title>let me in<\/title>/);
  });

  it.each([
    [{ backends: ['other'] }, /no backend "other"/],
    [{ allowForceRelease: 'false' }, /`allowForceRelease` of LockAdminModule is `true` or `false`/],
  ])('that make no sense are refused at boot: %j', async (options, message) => {
    const bad = { ...OPEN, ...options } as LockAdminModuleOptions;
    const start = applicationWith({ imports: [LockAdminModule.forRoot(bad)] });
    await expect(start).rejects.toThrow(message);
    await expect(start).rejects.toBeInstanceOf(LockConfigurationError);
  });

  it('that are unknown are refused', () => {
    const bad = { ...OPEN, allowRelease: true } as LockAdminModuleOptions;
    expect(() => LockAdminModule.forRoot(bad)).toThrow(/`allowRelease` is not an option of LockAdminModule/);
  });
});

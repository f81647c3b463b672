import {
  Body,
  type CallHandler,
  Controller,
  createParamDecorator,
  type ExecutionContext,
  Get,
  Header,
  Headers,
  type INestApplication,
  type NestInterceptor,
  Param,
  ParseIntPipe,
  Post,
  Query,
  Req,
  Res,
  Sse,
  StreamableFile,
  UseInterceptors,
} from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { currentLock, DistributedLockModule, LockInterceptor, LockService, memory } from 'nestjs-distributed-lock';
import { PassThrough } from 'node:stream';
import { defaultIfEmpty, EMPTY, from, type Observable, of, Subject, takeUntil } from 'rxjs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Application, isHeld, nextEvent, RecordingLogger, serverWith } from './support/application.js';
import { Gate } from './support/gate.js';

const CurrentUser = createParamDecorator(async (data: string, context: ExecutionContext) =>
  Promise.resolve(
    { name: context.switchToHttp().getRequest<{ headers: { user: string } }>().headers.user }[data as 'name'],
  ),
);

/** What the handler of a test needs from outside. */
interface Stage {
  readonly entered: Gate;
  readonly gate: Gate;
  readonly body: PassThrough;
  readonly events: Subject<{ data: string }>;
  left: boolean;
}
let stage: Stage;

const key = () => ({ key: String(currentLock()?.key) });

@Controller('orders')
class Orders {
  @Get('param/:id')
  @UseInterceptors(LockInterceptor('order:<id>'))
  param(@Param('id', ParseIntPipe) _id: number) {
    return key();
  }

  @Post('body')
  @UseInterceptors(LockInterceptor('order:<dto.order.id>/<kind>'))
  body(@Body() dto: { order: { id: number } }, @Query('kind') _a: string) {
    return { ...key(), id: dto.order.id };
  }

  @Get('header')
  @UseInterceptors(LockInterceptor('tenant:<X-Tenant>'))
  header(@Headers('X-Tenant') _a: string) {
    return key();
  }

  @Get('request/:id')
  @UseInterceptors(LockInterceptor('order:<request.params.id>'))
  request(@Req() request: { method: string }) {
    return { ...key(), method: request.method };
  }

  @Get('custom')
  @UseInterceptors(LockInterceptor('user:<name>'))
  custom(@CurrentUser('name') _name: string) {
    return key();
  }

  @Get('function/:id')
  @UseInterceptors(
    LockInterceptor((context) => {
      const { params } = context.switchToHttp().getRequest<{ params: { id: string } }>();
      return [`order:${params.id}`, context.getHandler().name];
    }),
  )
  byFunction() {
    return key();
  }

  @Get('missing')
  @UseInterceptors(LockInterceptor('order:<id>'))
  missing(@Query('id') _id: string) {
    stage.entered.open();
    return key();
  }

  @Get('async/:id')
  @UseInterceptors(LockInterceptor('order:<id>'))
  async async(@Param('id') id: string) {
    stage.entered.open();
    await stage.gate.passed;
    return id;
  }

  @Get('fail/:id')
  @UseInterceptors(LockInterceptor('order:<id>'))
  async fail(@Param('id') id: string) {
    throw new Error(`no order ${id}`);
  }

  @Get('skip/:id')
  @UseInterceptors(LockInterceptor('order:<id>', { onBusy: 'skip' }))
  skip(@Param('id') id: string) {
    return { id };
  }

  @Get('instead/:id')
  @UseInterceptors(LockInterceptor('order:<id>', { wait: 0, onBusy: ({ method }) => ({ busy: method }) }))
  instead(@Param('id') id: string) {
    return { id };
  }

  @Get('file-handler/:id')
  @UseInterceptors(LockInterceptor('order:<id>'))
  fileWhileHandled(@Param('id') _id: string) {
    return new StreamableFile(stage.body);
  }

  @Get('file/:id')
  @UseInterceptors(LockInterceptor('order:<id>', { hold: 'response' }))
  file(@Param('id') _id: string) {
    return new StreamableFile(stage.body);
  }

  @Get('res/:id')
  @Header('content-type', 'text/plain')
  @UseInterceptors(LockInterceptor('order:<id>', { hold: 'response' }))
  res(@Param('id') _id: string, @Res() response: { raw?: NodeJS.WritableStream } & NodeJS.WritableStream) {
    stage.body.pipe(response.raw ?? response);
  }

  @Get('fail-response/:id')
  @UseInterceptors(LockInterceptor('order:<id>', { hold: 'response' }))
  failResponse(@Param('id') id: string) {
    throw new Error(`no order ${id}`);
  }

  @Sse('sse/:id')
  @UseInterceptors(LockInterceptor('order:<id>'))
  sse(@Param('id') _id: string): Observable<{ data: string }> {
    return stage.events;
  }
}

@Controller('all/:id')
@UseInterceptors(LockInterceptor('shop:<id>'))
class Shop {
  @Get()
  one(@Param('id') _id: string) {
    return key();
  }
  @Get('other')
  other(@Param('id') _id: string) {
    return key();
  }
}

describe.each([
  ['Express', () => new ExpressAdapter()],
  ['Fastify', () => new FastifyAdapter({ forceCloseConnections: true })],
])('LockInterceptor on %s', (_name, adapter) => {
  async function start() {
    stage = { entered: new Gate(), gate: new Gate(), body: new PassThrough(), events: new Subject(), left: false };
    const logger = new RecordingLogger();
    const module = await Test.createTestingModule({
      imports: [DistributedLockModule.forRoot({ backend: memory(), shutdownGrace: 0 })],
      controllers: [Orders, Shop],
    })
      .setLogger(logger)
      .compile();
    const app: INestApplication = module.createNestApplication(adapter(), { forceCloseConnections: true });
    onTestFinished(() => app.close());
    onTestFinished(() => void stage.body.destroy());
    await app.listen(0, '127.0.0.1');
    const url = `${await app.getUrl()}/orders`;
    const application: Pick<Application, 'get'> = { get: (token) => app.get(token) };
    return { app, logger, url, application, locks: app.get(LockService) };
  }
  const json = async (url: string, init?: RequestInit) => (await fetch(url, init)).json();

  test('makes its key from params, before the pipes', async () => {
    const { url } = await start();
    expect(await json(`${url}/param/007`)).toEqual({ key: 'order:007' });
  });

  test('makes its key from body and query', async () => {
    const { url } = await start();
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"order":{"id":7}}' };
    expect(await json(`${url}/body?kind=a:b`, init)).toEqual({ key: 'order:7/a%3Ab', id: 7 });
  });

  test.each<[string, string, RequestInit, string]>([
    ['headers', 'header', { headers: { 'x-tenant': 'north' } }, 'tenant:north'],
    ['the request', 'request/7', {}, 'order:7'],
    ['parameter decorators of your own', 'custom', { headers: { user: 'ada' } }, 'user:ada'],
    ['a function of the context', 'function/7', {}, 'byFunction + order:7'],
  ])('makes its key from %s', async (_what, path, init, expected) => {
    const { url } = await start();
    expect(await json(`${url}/${path}`, init)).toMatchObject({ key: expected });
  });

  test('stands on a whole controller', async () => {
    const { url } = await start();
    const base = url.replace('/orders', '/all/7');
    expect([await json(base), await json(`${base}/other`)]).toEqual([{ key: 'shop:7' }, { key: 'shop:7' }]);
  });

  test('answers 400, without internals and quietly, when the request has no value for the key, and does not run the handler', async () => {
    const { url, logger } = await start();
    const response = await fetch(`${url}/missing`);
    expect(response.status).toBe(400);
    expect(await response.text()).not.toMatch(/order|<id>|lock/i);
    expect(logger.texts('error')).toEqual([]);
  });

  test('holds the lock while an async handler runs, and lets its error out', async () => {
    const { url, application } = await start();
    const response = fetch(`${url}/async/7`);
    await stage.entered.passed;
    expect(await isHeld(application, 'order:7')).toBe(true);
    stage.gate.open();
    expect(await (await response).text()).toBe('7');
    expect(await isHeld(application, 'order:7')).toBe(false);
    expect((await fetch(`${url}/fail/7`)).status).toBe(500);
    expect(await isHeld(application, 'order:7')).toBe(false);
  });

  test('answers what `onBusy` says when the key is busy', async () => {
    const { url, locks } = await start();
    await locks.acquire('order:7');
    const skipped = await fetch(`${url}/skip/7`);
    expect([skipped.status, await skipped.text()]).toEqual([200, '']);
    expect(await json(`${url}/instead/7`)).toEqual({ busy: 'Orders.instead' });
    expect(await json(`${url}/skip/8`)).toEqual({ id: '8' });
  });

  test('leaves the line when the client disconnects, runs nothing for it and logs nothing', async () => {
    const { url, application, locks, logger } = await start();
    const lock = await locks.acquire('order:7');
    const waiting = nextEvent(application, 'waiting');
    const client = new AbortController();
    const response = fetch(`${url}/async/7`, { signal: client.signal });
    const gone = response.catch(() => 'gone');
    await waiting;
    const failed = nextEvent(application, 'failed');
    client.abort();
    expect(await gone).toBe('gone');
    expect(await failed).toMatchObject({
      key: 'order:7',
      error: { message: 'The client left while its request waited for a lock.' },
    });
    expect((await locks.inspect('order:7')).waiting).toBe(0);
    await lock.release();
    expect(await isHeld(application, 'order:7')).toBe(false);
    expect(logger.texts('error')).toEqual([]);
  });

  test('keeps the lock of an async handler whose client disconnects until the handler is done', async () => {
    const { url, application } = await start();
    const client = new AbortController();
    const response = fetch(`${url}/async/7`, { signal: client.signal });
    const gone = response.catch(() => 'gone');
    await stage.entered.passed;
    client.abort();
    expect(await gone).toBe('gone');
    expect(await isHeld(application, 'order:7')).toBe(true);
    const released = nextEvent(application, 'released');
    stage.gate.open();
    await released;
    expect(await isHeld(application, 'order:7')).toBe(false);
  });

  test("hold: 'handler' lets go when the handler has given its file", async () => {
    const { url, application } = await start();
    const released = nextEvent(application, 'released');
    const response = fetch(`${url}/file-handler/7`);
    await released;
    stage.body.end('content');
    expect(await (await response).text()).toBe('content');
  });

  test.each(['file', 'res'])("hold: 'response' holds the lock until the last byte is out (%s)", async (path) => {
    const { url, application } = await start();
    stage.body.write('first ');
    const response = await fetch(`${url}/${path}/7`);
    expect(await isHeld(application, 'order:7')).toBe(true);
    const released = nextEvent(application, 'released');
    stage.body.end('last');
    expect(await response.text()).toBe('first last');
    await released;
    expect(await isHeld(application, 'order:7')).toBe(false);
  });

  test.each(['file', 'res'])(
    "hold: 'response' lets go when the client disconnects in the middle (%s)",
    async (path) => {
      const { url, application } = await start();
      stage.body.write('first ');
      const client = new AbortController();
      await fetch(`${url}/${path}/7`, { signal: client.signal });
      expect(await isHeld(application, 'order:7')).toBe(true);
      const released = nextEvent(application, 'released');
      client.abort();
      await released;
      expect(await isHeld(application, 'order:7')).toBe(false);
    },
  );

  test("hold: 'response' answers an error at once, and lets go", async () => {
    const { url, application } = await start();
    const released = nextEvent(application, 'released');
    expect((await fetch(`${url}/fail-response/7`)).status).toBe(500);
    await released;
    expect(await isHeld(application, 'order:7')).toBe(false);
  });

  test('holds the lock while server-sent events flow, and lets go when the client leaves', async () => {
    const { url, application } = await start();
    const acquired = nextEvent(application, 'acquired');
    const client = new AbortController();
    const response = fetch(`${url}/sse/7`, { signal: client.signal });
    await acquired;
    await waitForObserver();
    stage.events.next({ data: 'hello' });
    const reader = (await response).body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toContain('hello');
    expect(await isHeld(application, 'order:7')).toBe(true);
    const released = nextEvent(application, 'released');
    client.abort();
    await released;
    expect(stage.events.observed).toBe(false);
  });

  /** The lock is granted a moment before Nest subscribes to the handler's events. */
  async function waitForObserver() {
    while (!stage.events.observed) await new Promise((resolve) => setImmediate(resolve));
  }
});

test('reads its parameters from the class when a tracing tool hands over a wrapper of the handler', async () => {
  /** What OpenTelemetry and Sentry put around every handler: its name and metadata, and none of its parameters. */
  class Traces implements NestInterceptor {
    intercept(context: ExecutionContext, next: CallHandler) {
      const handler = context.getHandler();
      const wrapped = Object.defineProperty(() => undefined, 'name', { value: handler.name });
      for (const each of Reflect.getMetadataKeys(handler)) {
        Reflect.defineMetadata(each, Reflect.getMetadata(each, handler), wrapped);
      }
      Object.assign(context, { getHandler: () => wrapped });
      return next.handle();
    }
  }

  @Controller()
  @UseInterceptors(Traces)
  class Traced {
    @Get('traced/:orderId')
    @UseInterceptors(LockInterceptor('order:<id>'))
    traced(@Param('orderId') id: string) {
      return { ...key(), id };
    }
  }
  const { url } = await serverWith({ controllers: [Traced] });
  const response = await fetch(`${url}/traced/7`);
  expect(await response.json()).toEqual({ key: 'order:7', id: '7' });
});

test('gives the handler the value of a custom parameter decorator that the key was made of, and makes it once', async () => {
  let made = 0;
  const Made = createParamDecorator(async (kind: string) => ({ id: `${kind}-${++made}` }));
  @Controller()
  class Making {
    @Get()
    @UseInterceptors(LockInterceptor('order:<order.id>'), LockInterceptor('user:<user.id>/<order.id>'))
    make(@Made('order') order: { id: string }, @Made('user') user: { id: string }, @Made('free') free: { id: string }) {
      return { ...key(), order: order.id, user: user.id, free: free.id };
    }
  }
  const { url } = await serverWith({ controllers: [Making] });
  for (const each of [await fetch(url), await fetch(url)]) {
    const { key: locked, user, order } = (await each.json()) as { key: string; user: string; order: string };
    expect(locked).toBe(`user:${user}/${order}`);
  }
  expect(made).toBe(6);
});

test('keeps both locks of a handler that runs on when something outside gives its request up', async () => {
  const [entered, gate] = [new Gate(), new Gate()];
  class GivesUp implements NestInterceptor {
    intercept(_: ExecutionContext, next: CallHandler) {
      return next.handle().pipe(takeUntil(from(entered.passed)), defaultIfEmpty('gave up'));
    }
  }
  @Controller()
  class Slow {
    @Get()
    @UseInterceptors(GivesUp, LockInterceptor('outer'), LockInterceptor('inner'))
    async slow() {
      entered.open();
      await gate.passed;
    }
  }
  const application = await serverWith({ controllers: [Slow] });
  expect(await (await fetch(application.url)).text()).toBe('gave up');
  expect(await Promise.all(['outer', 'inner'].map((each) => isHeld(application, each)))).toEqual([true, true]);
  const released = [nextEvent(application, 'released', 'outer'), nextEvent(application, 'released', 'inner')];
  gate.open();
  await Promise.all(released);
});

test('answers what an Observable of `onBusy` gives, and 400 to a value that is too long for a key', async () => {
  @Controller()
  class Busy {
    @Get('busy')
    @UseInterceptors(LockInterceptor('busy', { wait: 0, onBusy: () => of('first', 'last') }))
    busy() {}
    @Get('none')
    @UseInterceptors(LockInterceptor('busy', { wait: 0, onBusy: () => EMPTY }))
    none() {}
    @Get('long')
    @UseInterceptors(LockInterceptor('order:<id>'))
    long(@Query('id') _id: string) {}
  }
  const { url, logger, get } = await serverWith({ controllers: [Busy] });
  await get(LockService).acquire('busy');
  const text = async (path: string) => (await fetch(url + path)).text();
  expect([await text('/busy'), await text('/none')]).toEqual(['last', '']);
  const long = await fetch(`${url}/long?id=${'x'.repeat(9_000)}`);
  expect([long.status, await long.text()]).toEqual([400, expect.not.stringMatching(/order|xxx|lock/i)]);
  expect(logger.texts('error')).toEqual([]);
});

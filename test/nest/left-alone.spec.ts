import {
  type CallHandler,
  Controller,
  type ExecutionContext,
  Get,
  type NestInterceptor,
  Param,
  type PipeTransform,
  StreamableFile,
  UseInterceptors,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { WsAdapter } from '@nestjs/platform-ws';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { currentLock, type Lock, LockInterceptor, LockService } from 'nestjs-distributed-lock';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { Observable, race, Subject, take, throwError, switchMap } from 'rxjs';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { isHeld, nextEvent, serverWith } from './support/application.js';
import { Gate } from './support/gate.js';

/** Stands for the timeout interceptor of Nest's documentation, without a clock: gives the request up when told. */
let giveUp = new Subject<void>();

class GivesUp implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler<unknown>): Observable<unknown> {
    const given = giveUp.pipe(
      take(1),
      switchMap(() => throwError(() => new Error('given up'))),
    );
    return race(next.handle(), given);
  }
}

let entered: Gate;
let finish: Gate;
let lock: Lock | undefined;
let calls = 0;
let pipes: Gate;

class SlowPipe implements PipeTransform {
  async transform(value: unknown) {
    entered.open();
    await pipes.passed;
    return value;
  }
}

const Held = LockInterceptor('order:<id>');

async function work(): Promise<string> {
  calls += 1;
  lock = currentLock();
  entered.open();
  await finish.passed;
  return 'done';
}

beforeEach(() => {
  giveUp = new Subject();
  [entered, finish, pipes] = [new Gate(), new Gate(), new Gate()];
  lock = undefined;
  calls = 0;
});

describe('a handler under LockInterceptor whose request is given up by something outside', () => {
  let torndown: Gate;

  @Controller()
  @UseInterceptors(GivesUp)
  class Orders {
    @Get('promise/:id')
    @UseInterceptors(Held)
    async promise(@Param('id') _id: string) {
      return work();
    }

    @Get('undeclared/:id')
    @UseInterceptors(Held)
    // Not `async`, and its type says nothing at run time.
    undeclared(@Param('id') _id: string): unknown {
      return work();
    }

    @Get('pipes/:id')
    @UseInterceptors(Held)
    async pipes(@Param('id', SlowPipe) _id: string) {
      return work();
    }

    @Get('stream/:id')
    @UseInterceptors(Held)
    async stream(@Param('id') _id: string): Promise<Observable<string>> {
      return new Observable(() => {
        entered.open();
        return torndown.open;
      });
    }
  }

  const start = async () => {
    torndown = new Gate();
    return serverWith({ controllers: [Orders] });
  };

  test.each(['promise', 'undeclared'])('keeps its lock until it has ended: %s', async (path) => {
    const application = await start();
    const answer = fetch(`${application.url}/${path}/7`);
    await entered.passed;
    giveUp.next();
    expect((await answer).status).toBe(500);
    expect([await isHeld(application, 'order:7'), lock?.held]).toEqual([true, true]);
    const released = nextEvent(application, 'released');
    finish.open();
    await released;
    expect(calls).toBe(1);
  });

  test('never begins when its pipes had not ended by then', async () => {
    const application = await start();
    const released = nextEvent(application, 'released');
    const answer = fetch(`${application.url}/pipes/7`);
    await entered.passed;
    giveUp.next();
    await answer;
    await released;
    pipes.open();
    finish.open();
    await application.close();
    expect(calls).toBe(0);
  });

  test('a stream that it resolved to is ended at once, though it gave no value', async () => {
    const application = await start();
    const answer = fetch(`${application.url}/stream/7`);
    await entered.passed;
    const released = nextEvent(application, 'released');
    giveUp.next();
    await answer;
    await Promise.all([torndown.passed, released]);
  });

  test('also where the interceptor is a global one', async () => {
    @Controller()
    class Plain {
      @Get('global/:id')
      async global(@Param('id') _id: string) {
        return work();
      }
    }
    const application = await serverWith({
      controllers: [Plain],
      providers: [
        { provide: APP_INTERCEPTOR, useClass: GivesUp },
        { provide: APP_INTERCEPTOR, useClass: LockInterceptor('order:<id>') },
      ],
    });
    const answer = fetch(`${application.url}/global/7`);
    await entered.passed;
    giveUp.next();
    await answer;
    expect(lock?.held).toBe(true);
    const released = nextEvent(application, 'released');
    finish.open();
    await released;
  });

  test('and where its class is frozen, so that nothing can be put around the method', async () => {
    @Controller()
    @UseInterceptors(GivesUp)
    class Frozen {
      @Get('frozen/:id')
      @UseInterceptors(Held)
      async frozen(@Param('id') _id: string) {
        return work();
      }
    }
    Object.freeze(Frozen.prototype);
    const application = await serverWith({ controllers: [Frozen] });
    const answer = fetch(`${application.url}/frozen/7`);
    await entered.passed;
    giveUp.next();
    await answer;
    expect(lock?.held).toBe(true);
    const released = nextEvent(application, 'released');
    finish.open();
    await released;
  });
});

describe('a gateway', () => {
  @WebSocketGateway()
  class Orders {
    @SubscribeMessage('work')
    @UseInterceptors(Held)
    async work(@MessageBody('id') _id: string) {
      return work();
    }
  }

  async function connected() {
    const application = await serverWith({ providers: [Orders] }, (app) => app.useWebSocketAdapter(new WsAdapter(app)));
    const socket = new WebSocket(application.url.replace('http', 'ws'));
    onTestFinished(() => socket.terminate());
    await once(socket, 'open');
    return { application, socket, send: () => socket.send(JSON.stringify({ event: 'work', data: { id: '7' } })) };
  }

  test('keeps the lock of a handler whose client disconnects', async () => {
    const { application, socket, send } = await connected();
    send();
    await entered.passed;
    socket.terminate();
    await once(socket, 'close');
    // Its messages come in order, so the server has heard of the first socket's end when this one is open.
    const other = new WebSocket(application.url.replace('http', 'ws'));
    onTestFinished(() => other.terminate());
    await once(other, 'open');
    const waiting = nextEvent(application, 'waiting');
    other.send(JSON.stringify({ event: 'work', data: { id: '7' } }));
    await waiting;
    expect([calls, lock?.held]).toEqual([1, true]);
    finish.open();
  });

  test('with a dozen messages in line, listens to their socket once', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error) => void warnings.push(warning);
    process.on('warning', note);
    onTestFinished(() => void process.off('warning', note));
    const { application, socket, send } = await connected();
    await application.get(LockService).acquire('order:7');
    for (let sent = 0; sent < 12; sent += 1) {
      const waiting = nextEvent(application, 'waiting');
      send();
      await waiting;
    }
    let timeouts = 0;
    const left = new Gate();
    application.get(LockService).events$.subscribe(({ type }) => {
      if (type === 'waiting' || ++timeouts < 12) return;
      left.open();
    });
    socket.terminate();
    await left.passed;
    expect((await application.get(LockService).inspect('order:7')).waiting).toBe(0);
    expect(warnings).toEqual([]);
  });
});

describe("hold: 'response'", () => {
  let body: PassThrough;

  @Controller()
  class Files {
    @Get(':id')
    @UseInterceptors(LockInterceptor('order:<id>', { hold: 'response' }))
    file(@Param('id') _id: string) {
      return new StreamableFile(body);
    }
  }

  test('a lock that is lost while the response goes out ends the connection, and the log says why', async () => {
    body = new PassThrough();
    const application = await serverWith({ controllers: [Files] });
    body.write('first half');
    const response = await fetch(`${application.url}/7`);
    await application.get(LockService).forceRelease('order:7');
    await expect(response.text()).rejects.toThrow();
    expect(application.logger.texts('warn').join()).toMatch(/Files\.file lost its lock while its response went out/);
  });
});

import {
  Body,
  type CallHandler,
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  HttpCode,
  Injectable,
  type NestInterceptor,
  Param,
  ParseIntPipe,
  type PipeTransform,
  Post,
  Query,
  SetMetadata,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { currentLock, Locked, LockService } from 'nestjs-distributed-lock';
import { from, Observable, tap } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { isHeld, nextEvent, serverWith } from './support/application.js';

const order: string[] = [];
const note = (what: string) => order.push(currentLock() === undefined ? what : `${what} (locked)`);

@Injectable()
class Guard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}
  canActivate(context: ExecutionContext) {
    note(`guard ${this.reflector.get('role', context.getHandler())}`);
    return true;
  }
}

@Injectable()
class Around implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler) {
    note('before');
    return next.handle().pipe(tap(() => note('after')));
  }
}

@Injectable()
class Pipe implements PipeTransform {
  transform(value: unknown) {
    note('pipe');
    return value;
  }
}

@Controller('orders')
class OrdersController {
  @Get('below/:id')
  @Locked('order:<id>')
  async below(@Param('id') id: string) {
    return `${id} ${currentLock()?.key}`;
  }

  @Locked('order:<id>')
  @Get('above/:id')
  async above(@Param('id') id: string) {
    return `${id} ${currentLock()?.key}`;
  }

  @Post('all/:id')
  @HttpCode(202)
  @UseGuards(Guard)
  @Locked('order:<id>')
  @UseInterceptors(Around)
  @SetMetadata('role', 'clerk')
  async all(@Param('id', ParseIntPipe, Pipe) id: number) {
    note('handler');
    return `${typeof id} ${currentLock()?.key}`;
  }

  @Get('stream/:id')
  @Locked('order:<id>')
  stream(@Param('id') id: string): Observable<string> {
    return from([`first of ${id}`, `last of ${id} ${currentLock()?.key}`]);
  }
}

describe('a locked route', () => {
  test.each(['below', 'above'])('is found with @Locked %s @Get', async (place) => {
    const { url } = await serverWith({ controllers: [OrdersController] });
    const response = await fetch(`${url}/orders/${place}/7`);
    expect([response.status, await response.text()]).toEqual([200, '7 order:7']);
  });

  test('keeps guards, interceptors, pipes and metadata, and locks what comes out of the pipes', async () => {
    order.length = 0;
    const { url } = await serverWith({ controllers: [OrdersController], providers: [Guard] });
    const response = await fetch(`${url}/orders/all/007`, { method: 'POST' });
    expect([response.status, await response.text()]).toEqual([202, 'number order:7']);
    expect(order).toEqual(['guard clerk', 'before', 'pipe', 'handler (locked)', 'after']);
  });

  test('takes no lock for a request that its pipes refuse', async () => {
    const application = await serverWith({ controllers: [OrdersController], providers: [Guard] });
    const events: unknown[] = [];
    application.get(LockService).events$.subscribe((event) => events.push(event));
    const response = await fetch(`${application.url}/orders/all/seven`, { method: 'POST' });
    expect(response.status).toBe(400);
    expect(events).toEqual([]);
  });

  test('may return an Observable, which holds the lock to its end', async () => {
    const application = await serverWith({ controllers: [OrdersController] });
    const response = await fetch(`${application.url}/orders/stream/7`);
    expect(await response.text()).toBe('last of 7 order:7');
    expect(await isHeld(application, 'order:7')).toBe(false);
  });

  test('answers 400, quietly, when its arguments make no key, and 500 when a function of the key fails', async () => {
    @Controller('lines')
    class Lines {
      @Post('above')
      @Locked('line:<line.order.id>')
      async above(@Body() line: { order: { id: string } }) {
        return line.order.id;
      }
      @Locked('line:<line.order.id>')
      @Post('below')
      async below(@Body() line: { order: { id: string } }) {
        return line.order.id;
      }
      @Post('long')
      @Locked('line:<q>')
      async long(@Query('q') q: string) {
        return q;
      }
      @Post('function')
      @Locked((line: { id: string }) => line.id)
      async byFunction(@Body() line: { id: string }) {
        return line.id;
      }
    }
    const { url, logger } = await serverWith({ controllers: [Lines] });
    const post = async (path: string) => {
      const response = await fetch(`${url}/lines/${path}`, { method: 'POST' });
      expect(await response.text()).not.toMatch(/line:|order|xxx|lock/i);
      return response.status;
    };
    expect([await post('above'), await post('below'), await post(`long?q=${'x'.repeat(9_000)}`)]).toEqual([
      400, 400, 400,
    ]);
    expect(logger.texts('error')).toEqual([]);
    expect(await post('function')).toBe(500);
  });

  test('waits for its turn', async () => {
    const application = await serverWith({ controllers: [OrdersController] });
    const lock = await application.get(LockService).acquire('order:7');
    const waiting = nextEvent(application, 'waiting');
    const response = fetch(`${application.url}/orders/below/7`);
    await waiting;
    await lock.release();
    expect(await (await response).text()).toBe('7 order:7');
  });
});

test('Reflector finds the metadata of both orders on the handler', () => {
  const { below, above, all } = OrdersController.prototype;
  expect([below, above, all].map((handler) => Reflect.getMetadata('path', handler))).toEqual([
    'below/:id',
    'above/:id',
    'all/:id',
  ]);
});

/** Tools that trace Nest wrap every handler. They are loaded before this; the names of parameters must be found all the same. */
import 'reflect-metadata';
import { Body, Controller, Get, Module, Param, Post, UseInterceptors } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { currentLock, DistributedLockModule, Locked, LockInterceptor, memory } from 'nestjs-distributed-lock';
import { Report } from './report.js';

interface Order {
  readonly customer: { readonly id: string };
}
const key = () => currentLock()?.key;

@Controller()
class Orders {
  @Post('dto')
  @UseInterceptors(LockInterceptor('order:<order.customer.id>'))
  dto(@Body() order: Order) {
    return { key: key(), id: order.customer.id };
  }
  @Post('index')
  @UseInterceptors(LockInterceptor('order:<0.customer.id>'))
  async index(@Body() order: Order) {
    return { key: key(), id: order.customer.id };
  }
  @Get('renamed/:orderId')
  @UseInterceptors(LockInterceptor('order:<id>'))
  async renamed(@Param('orderId') id: string) {
    return { key: key(), id };
  }
  @Post('locked')
  @Locked('order:<order.customer.id>')
  async locked(@Body() order: Order) {
    return { key: key(), id: order.customer.id };
  }
}

@Module({ imports: [DistributedLockModule.forRoot({ backend: memory() })], controllers: [Orders] })
class AppModule {}

void (async () => {
  const report = new Report();
  const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  const init = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ customer: { id: 'c1' } }),
  };
  for (const path of ['dto', 'index', 'locked']) {
    report.expect(path, await (await fetch(`${url}/${path}`, init)).json(), { key: 'order:c1', id: 'c1' });
  }
  report.expect('renamed', await (await fetch(`${url}/renamed/7`)).json(), { key: 'order:7', id: '7' });
  const { wrapped } = globalThis as { wrapped?: () => number };
  if (wrapped !== undefined) report.expect('the tool was at work', wrapped() > 0, true);
  await app.close();
  report.end();
})();

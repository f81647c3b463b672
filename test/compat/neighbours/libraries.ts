/** Libraries that stand on the same classes and methods: configuration, validation, Swagger, transactions, rate limits. */
import 'reflect-metadata';
import { Body, Controller, Get, Injectable, Module, Post, ValidationPipe } from '@nestjs/common';
import { ConfigModule, ConfigService, registerAs } from '@nestjs/config';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { ApiOperation, ApiProperty, DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { Throttle, ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
import { ClsPluginTransactional, NoOpTransactionalAdapter, Transactional } from '@nestjs-cls/transactional';
import { Type } from 'class-transformer';
import { IsString, useContainer, Validate, ValidateNested, ValidatorConstraint } from 'class-validator';
import { ClsModule } from 'nestjs-cls';
import {
  currentLock,
  DistributedLockModule,
  type DistributedLockOptions,
  Locked,
  LockInterceptor,
  memory,
} from 'nestjs-distributed-lock';
import { UseInterceptors } from '@nestjs/common';
import { Transactional as TypeormTransactional } from 'typeorm-transactional';
import { Report } from './report.js';

const key = () => currentLock()?.key;

@ValidatorConstraint({ async: true })
@Injectable()
class IsFree {
  @Locked('names')
  async validate(): Promise<boolean> {
    return key() === 'names';
  }
}
class Customer {
  @ApiProperty() @IsString() readonly id!: string;
}
class Order {
  @ApiProperty() @ValidateNested() @Type(() => Customer) readonly customer!: Customer;
}
class Name {
  @Validate(IsFree) readonly name!: string;
}

@Controller('orders')
class Orders {
  @Post('below')
  @Locked('order:<order.customer.id>')
  @ApiOperation({ summary: 'places' })
  async below(@Body() order: Order) {
    return { key: key(), id: order.customer.id };
  }
  @Post('above')
  @ApiOperation({ summary: 'places' })
  @Locked('order:<order.customer.id>')
  async above(@Body() order: Order) {
    return { key: key(), id: order.customer.id };
  }
  @Post('intercepted')
  @UseInterceptors(LockInterceptor('order:<order.customer.id>'))
  intercepted(@Body() order: Order) {
    return { key: key(), id: order.customer.id };
  }
  @Post('named')
  named(@Body() name: Name) {
    return { name: name.name };
  }
  @Throttle({ default: { limit: 1, ttl: 60_000 } })
  @Get('throttled')
  @Locked('throttled')
  async throttled() {
    return { key: key() };
  }
}

/** `@Locked` above `@Transactional`, with names of parameters that only the source of the class has. */
@Injectable()
class Transactions {
  @Locked('order:<id>')
  @Transactional()
  async byCls(_a: number, id: string) {
    return [key(), id];
  }
  @Transactional()
  @Locked('order:<id>')
  async below(id: string) {
    return key();
  }
  @Locked('order:<id>')
  @TypeormTransactional()
  async byTypeorm(_a: number, id: string) {
    return [key(), id];
  }
}

const lockOptions = registerAs('locks', (): DistributedLockOptions => ({
  backend: memory(),
  defaults: { wait: '5s' },
}));
const adapter = new NoOpTransactionalAdapter({ tx: {} });

@Module({
  imports: [
    DistributedLockModule.forRootAsync(lockOptions.asProvider()),
    DistributedLockModule.forRootAsync({
      imports: [ConfigModule.forRoot({ ignoreEnvFile: true, load: [() => ({ PREFIX: 'other:' })] })],
      inject: [ConfigService],
      useFactory: (config: ConfigService) => ({
        backends: { other: memory() },
        prefix: config.getOrThrow<string>('PREFIX'),
      }),
      names: ['other'],
      default: false,
    }),
    ClsModule.forRoot({ global: true, plugins: [new ClsPluginTransactional({ adapter })] }),
    ThrottlerModule.forRoot([{ limit: 100, ttl: 60_000 }]),
  ],
  controllers: [Orders],
  providers: [IsFree, Transactions, { provide: APP_GUARD, useClass: ThrottlerGuard }],
})
class AppModule {}

void (async () => {
  const report = new Report();
  const app = await NestFactory.create(AppModule, { logger: ['error'] });
  useContainer(app.select(AppModule), { fallbackOnErrors: true });
  app.useGlobalPipes(new ValidationPipe({ transform: true }));
  const { paths } = SwaggerModule.createDocument(app, new DocumentBuilder().build());
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  const post = async (path: string, body: object) => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${url}/orders/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    const answer = await response.json();
    return response.ok ? answer : response.status;
  };
  for (const path of ['below', 'above', 'intercepted']) {
    const { operationId, summary, requestBody } = paths[`/orders/${path}`]?.post ?? {};
    report.expect(`Swagger names ${path}`, operationId, `Orders_${path}`);
    if (path !== 'intercepted') report.expect(`Swagger's decorator on ${path}`, summary, 'places');
    report.expect(
      `Swagger's body of ${path}`,
      JSON.stringify(requestBody).includes('#/components/schemas/Order'),
      true,
    );
    report.expect(path, await post(path, { customer: { id: 'c' } }), { key: 'order:c', id: 'c' });
    report.expect(`${path}, refused by its pipe`, await post(path, { customer: { id: 5 } }), 400);
    report.expect(`${path}, without a customer`, await post(path, {}), 400);
  }
  report.expect('a constraint with a lock', await post('named', { name: 'x' }), { name: 'x' });
  const throttled = async () => (await fetch(`${url}/orders/throttled`)).status;
  report.expect('the throttler', [await throttled(), await throttled()], [200, 429]);
  const transactions = app.get(Transactions);
  report.expect('nestjs-cls', await transactions.byCls(1, '7'), ['order:7', '7']);
  report.expect('nestjs-cls above', await transactions.below('7'), 'order:7');
  // Without a data source it fails, under its lock.
  const failure = await transactions.byTypeorm(1, '7').then(String, (error: Error) => error.message);
  report.expect('typeorm-transactional', /No CLS namespace|storage driver/i.test(failure), true);
  await app.close();
  report.end();
})();

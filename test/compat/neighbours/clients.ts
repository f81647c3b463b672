/** What clients are told of a busy key and of a server that is down, over HTTP and both drivers of GraphQL. */
import 'reflect-metadata';
import { Controller, Get, Module, type Type } from '@nestjs/common';
import { APP_FILTER, NestFactory } from '@nestjs/core';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { Args, GraphQLModule, Query, Resolver } from '@nestjs/graphql';
import { MercuriusDriver, type MercuriusDriverConfig } from '@nestjs/mercurius';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { DistributedLockModule, Locked, LockExceptionFilter, LockService, memory } from 'nestjs-distributed-lock';
import { redis } from 'nestjs-distributed-lock/redis';
import { Report } from './report.js';

@Resolver()
class Customers {
  @Query(() => String)
  @Locked('customer:<name>', { wait: 0 })
  async busy(@Args('name', { type: () => String }) name: string): Promise<string> {
    return name;
  }
  @Query(() => String)
  @Locked('customer:<name>', { wait: 0, backend: 'down' })
  async down(@Args('name', { type: () => String }) name: string): Promise<string> {
    return name;
  }
}

@Controller()
class Http {
  constructor(private readonly locks: LockService) {}
  @Get('busy')
  async busy() {
    await this.locks.acquire('customer:jane', { wait: 0 });
  }
  @Get('down')
  @Locked('customer:jane', { wait: 0, backend: 'down' })
  async down() {}
}
Reflect.defineMetadata('design:paramtypes', [LockService], Http);

const withFilter = { provide: APP_FILTER, useClass: LockExceptionFilter };
const apollo = GraphQLModule.forRoot<ApolloDriverConfig>({
  driver: ApolloDriver,
  autoSchemaFile: true,
  includeStacktraceInErrorResponses: false,
});
const mercurius = GraphQLModule.forRoot<MercuriusDriverConfig>({ driver: MercuriusDriver, autoSchemaFile: true });

/** An application whose key is busy on the one backend, and whose other backend is down. */
async function start(
  imports: NonNullable<Parameters<typeof Module>[0]['imports']>,
  filtered: boolean,
  onFastify: boolean,
) {
  class AppModule {}
  Module({
    imports: [
      DistributedLockModule.forRoot({
        checkAtBoot: false,
        backends: { main: memory(), down: redis({ url: 'redis://127.0.0.1:1' }) },
        default: 'main',
        shutdownGrace: 0,
      }),
      ...imports,
    ],
    controllers: [Http],
    providers: [...(imports.length > 0 ? [Customers as Type] : []), ...(filtered ? [withFilter] : [])],
  })(AppModule);
  const app = onFastify
    ? await NestFactory.create(AppModule, new FastifyAdapter(), { logger: false })
    : await NestFactory.create(AppModule, { logger: false });
  await app.listen(0, '127.0.0.1');
  await app.get(LockService).acquire('customer:jane');
  return { app, url: await app.getUrl() };
}

void (async () => {
  const report = new Report();
  for (const onFastify of [false, true]) {
    for (const filtered of [false, true]) {
      const where = `${onFastify ? 'Fastify' : 'Express'}${filtered ? ', LockExceptionFilter' : ''}`;
      const { app, url } = await start([onFastify ? mercurius : apollo], filtered, onFastify);
      for (const [path, status] of [
        ['busy', 423],
        ['down', 503],
      ] as const) {
        const response = await fetch(`${url}/${path}`);
        const text = await response.text();
        report.expectNoSecret(`HTTP ${path} on ${where}`, text);
        // An old Nest knows no status of errors that are not its own.
        if (filtered) report.expect(`HTTP ${path} on ${where}`, response.status, status);
        const query = JSON.stringify({ query: `{ ${path}(name: "jane") }` });
        const headers = { 'content-type': 'application/json' };
        const asked = await fetch(`${url}/graphql`, { method: 'POST', headers, body: query });
        const answer = await asked.text();
        report.expect(`GraphQL ${path} on ${where} fails`, answer.includes('"errors"'), true);
        // Without the filter the text is GraphQL's own affair, and the boot warns of it.
        if (!filtered) continue;
        report.expectNoSecret(`GraphQL ${path} on ${where}`, answer);
        report.expect(`GraphQL ${path} has a code on ${where}`, /LOCK_(TIMEOUT|BACKEND)/.test(answer), true);
      }
      await app.close();
    }
  }
  report.end();
})();

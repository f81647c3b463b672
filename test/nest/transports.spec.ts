import { Controller, UseFilters, UseInterceptors } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import {
  Args,
  GraphQLModule,
  Int,
  Mutation,
  ObjectType,
  Field,
  Parent,
  Query,
  ResolveField,
  Resolver,
} from '@nestjs/graphql';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { ClientProxyFactory, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import { WsAdapter } from '@nestjs/platform-ws';
import { ConnectedSocket, MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { currentLock, Locked, LockExceptionFilter, LockInterceptor, LockService } from 'nestjs-distributed-lock';
import type { AddressInfo, Server } from 'node:net';
import { once } from 'node:events';
import { lastValueFrom } from 'rxjs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { nextEvent, serverWith } from './support/application.js';

describe('microservice handlers', () => {
  @Controller()
  class Orders {
    @MessagePattern('below')
    @Locked('order:<data.id>')
    async below(@Payload() data: { id: string }) {
      return `${data.id} ${currentLock()?.key}`;
    }

    @Locked('order:<id>')
    @MessagePattern('above')
    async above(@Payload('id') a: string) {
      return `${a} ${currentLock()?.key}`;
    }

    @MessagePattern('around')
    @UseInterceptors(LockInterceptor('order:<id>'))
    async around(@Payload('id') id: string) {
      return `${id} ${currentLock()?.key}`;
    }

    @MessagePattern('busy')
    @Locked('busy', { wait: 0 })
    async busy() {
      return 'ran';
    }

    @MessagePattern('filtered')
    @UseFilters(LockExceptionFilter)
    @Locked('busy', { wait: 0 })
    async filtered() {
      return 'ran';
    }
  }

  async function client() {
    const application = await serverWith({ controllers: [Orders] }, async (app) => {
      app.connectMicroservice({ transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } });
      await app.startAllMicroservices();
    });
    const server = application.app.getMicroservices()[0]!.unwrap<Server>();
    const { port } = server.address() as AddressInfo;
    const proxy = ClientProxyFactory.create({ transport: Transport.TCP, options: { host: '127.0.0.1', port } });
    onTestFinished(() => void proxy.close());
    return { application, send: (pattern: string) => lastValueFrom(proxy.send<unknown>(pattern, { id: '7' })) };
  }

  test.each(['below', 'above'])('run under @Locked %s @MessagePattern', async (pattern) => {
    const { send } = await client();
    expect(await send(pattern)).toBe('7 order:7');
  });

  test('run under a LockInterceptor with a key from the payload', async () => {
    const { send } = await client();
    expect(await send('around')).toBe('7 order:7');
  });

  test('answer a busy key with its code through LockExceptionFilter', async () => {
    const { application, send } = await client();
    await application.get(LockService).acquire('busy');
    await expect(send('busy')).rejects.toEqual({ status: 'error', message: 'Internal server error' });
    await expect(send('filtered')).rejects.toEqual({
      status: 'error',
      statusCode: 423,
      code: 'LOCK_TIMEOUT',
      message: 'The resource is in use. Try again later.',
    });
  });
});

describe('gateways', () => {
  @WebSocketGateway()
  class Orders {
    @SubscribeMessage('below')
    @Locked('order:<id>')
    async below(@ConnectedSocket() _client: unknown, @MessageBody('id') id: string) {
      return { event: 'answer', data: `${id} ${currentLock()?.key}` };
    }

    @Locked('order:<data.id>')
    @SubscribeMessage('above')
    async above(@MessageBody() data: { id: string }) {
      return { event: 'answer', data: `${data.id} ${currentLock()?.key}` };
    }

    @SubscribeMessage('around')
    @UseInterceptors(LockInterceptor('order:<id>'))
    async around(@MessageBody('id') id: string) {
      return { event: 'answer', data: `${id} ${currentLock()?.key}` };
    }

    @SubscribeMessage('busy')
    @UseFilters(LockExceptionFilter)
    @Locked('busy', { wait: 0 })
    async busy() {
      return { event: 'answer', data: 'ran' };
    }
  }

  async function client() {
    const application = await serverWith({ providers: [Orders] }, (app) => app.useWebSocketAdapter(new WsAdapter(app)));
    const socket = new WebSocket(application.url.replace('http', 'ws'));
    onTestFinished(() => socket.terminate());
    await once(socket, 'open');
    const send = async (event: string) => {
      const answer = once(socket, 'message');
      socket.send(JSON.stringify({ event, data: { id: '7' } }));
      const [data] = await answer;
      return JSON.parse(String(data)) as unknown;
    };
    return { application, socket, send };
  }

  test.each(['below', 'above'])('run under @Locked %s @SubscribeMessage', async (event) => {
    const { send } = await client();
    expect(await send(event)).toEqual({ event: 'answer', data: '7 order:7' });
  });

  test('run under a LockInterceptor with a key from the message', async () => {
    const { send } = await client();
    expect(await send('around')).toEqual({ event: 'answer', data: '7 order:7' });
  });

  test('answer a busy key with its code through LockExceptionFilter', async () => {
    const { application, send } = await client();
    await application.get(LockService).acquire('busy');
    expect(await send('busy')).toEqual({
      event: 'exception',
      data: {
        status: 'error',
        statusCode: 423,
        code: 'LOCK_TIMEOUT',
        message: 'The resource is in use. Try again later.',
      },
    });
  });

  test('let a client that disconnects leave the line', async () => {
    const { application, socket } = await client();
    const locks = application.get(LockService);
    await locks.acquire('order:7');
    const waiting = nextEvent(application, 'waiting');
    socket.send(JSON.stringify({ event: 'around', data: { id: '7' } }));
    await waiting;
    const failed = nextEvent(application, 'failed');
    socket.close();
    await failed;
    expect((await locks.inspect('order:7')).waiting).toBe(0);
  });
});

describe('GraphQL resolvers', () => {
  @ObjectType()
  class Order {
    @Field(() => Int)
    id!: number;
    @Field(() => String)
    lock!: string;
  }

  @Resolver(() => Order)
  class Orders {
    @Query(() => Order)
    @Locked('order:<id>')
    async order(@Args('id', { type: () => Int }) id: number): Promise<Order> {
      return { id, lock: String(currentLock()?.key) };
    }

    @Locked('order:<id>')
    @Mutation(() => Order)
    async place(@Args('id', { type: () => Int }) id: number): Promise<Order> {
      return { id, lock: String(currentLock()?.key) };
    }

    @Query(() => Order)
    @UseInterceptors(LockInterceptor('order:<id>'))
    async around(@Args('id', { type: () => Int }) id: number): Promise<Order> {
      return { id, lock: String(currentLock()?.key) };
    }

    @ResolveField(() => String)
    @Locked('total:<order.id>')
    async total(@Parent() order: Order): Promise<string> {
      return `${order.id} ${currentLock()?.key}`;
    }

    @Query(() => Order)
    @UseFilters(LockExceptionFilter)
    @Locked('busy', { wait: 0 })
    async busy(): Promise<Order> {
      return { id: 1, lock: 'ran' };
    }
  }

  async function client() {
    const application = await serverWith({
      imports: [
        GraphQLModule.forRoot<ApolloDriverConfig>({ driver: ApolloDriver, autoSchemaFile: true, playground: false }),
      ],
      providers: [Orders],
    });
    const send = async (query: string) => {
      const response = await fetch(`${application.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query }),
      });
      return (await response.json()) as { data: unknown; errors?: { message: string }[] };
    };
    return { application, send };
  }

  test.each<[string, string]>([
    ['a query with @Locked below', '{ order(id: 7) { lock total } }'],
    ['a mutation with @Locked above', 'mutation { order: place(id: 7) { lock total } }'],
    ['a query with a LockInterceptor', '{ order: around(id: 7) { lock total } }'],
  ])('%s, and field resolvers, run under their locks', async (_what, query) => {
    const { send } = await client();
    expect(await send(query)).toEqual({ data: { order: { lock: 'order:7', total: '7 total:7' } } });
  });

  test('a busy key is an error of GraphQL, which names no key', async () => {
    const { application, send } = await client();
    await application.get(LockService).acquire('busy');
    const { errors } = await send('{ busy { id } }');
    expect(errors).toHaveLength(1);
    expect(errors?.[0]).toMatchObject({
      message: 'The resource is in use. Try again later.',
      extensions: { code: 'LOCK_TIMEOUT' },
    });
    expect(JSON.stringify(errors)).not.toContain("'busy'");
  });

  test('the boot warns where nothing keeps the keys from clients', async () => {
    const graphql = GraphQLModule.forRoot<ApolloDriverConfig>({ driver: ApolloDriver, autoSchemaFile: true });
    @Resolver()
    class Orders {
      @Query(() => String)
      @Locked('order:<id>')
      async order(@Args('id', { type: () => String }) id: string) {
        return id;
      }
    }
    const bare = await serverWith({ imports: [graphql], providers: [Orders] });
    expect(bare.logger.texts('warn').join()).toContain('GraphQL shows clients the messages of errors');
    await bare.close();
    const filter = { provide: APP_FILTER, useClass: LockExceptionFilter };
    const safe = await serverWith({ imports: [graphql], providers: [Orders, filter] });
    expect(safe.logger.texts('warn').join()).not.toContain('GraphQL');
  });
});

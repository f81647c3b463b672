/** The recipes of the page of PostgreSQL, "With an ORM": each hands over what it has, and the locks go where its queries go. */
import { setTimeout as sleep } from 'node:timers/promises';
import { MikroORM } from '@mikro-orm/postgresql';
import { PrismaPg } from '@prisma/adapter-pg';
import { drizzle } from 'drizzle-orm/node-postgres';
import { sql as drizzleSql } from 'drizzle-orm';
import knexOf from 'knex';
import { Kysely, PostgresDialect, sql } from 'kysely';
import type { LockBackend } from 'nestjs-distributed-lock';
import { DistributedLockModule, LockService } from 'nestjs-distributed-lock';
import { postgres } from 'nestjs-distributed-lock/postgres';
import { NestFactory } from '@nestjs/core';
import { Pool } from 'pg';
import { DataSource } from 'typeorm';
import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js';

const url = process.env['DATABASE_URL'] ?? '';

/** What a library was given, and whether it can still ask after the application with the locks has closed. */
interface Recipe {
  readonly backend: LockBackend;
  ask(): Promise<unknown>;
  end(): Promise<unknown>;
}

const recipes: Record<string, () => Promise<Recipe>> = {
  async TypeORM() {
    const dataSource = await new DataSource({ type: 'postgres', url }).initialize();
    const { master } = dataSource.driver as PostgresDriver;
    return {
      backend: postgres({ pool: master }),
      ask: () => dataSource.query('select 1'),
      end: () => dataSource.destroy(),
    };
  },
  async Drizzle() {
    const pool = new Pool({ connectionString: url });
    const db = drizzle({ client: pool });
    return { backend: postgres({ pool }), ask: () => db.execute(drizzleSql`select 1`), end: () => pool.end() };
  },
  async Kysely() {
    const pool = new Pool({ connectionString: url });
    const db = new Kysely<object>({ dialect: new PostgresDialect({ pool }) });
    return { backend: postgres({ pool }), ask: () => sql`select 1`.execute(db), end: () => db.destroy() };
  },
  async 'Prisma (driver adapter)'() {
    const pool = new Pool({ connectionString: url });
    // What `new PrismaClient({ adapter })` asks through. The generated client needs an engine that is downloaded.
    const adapter = await new PrismaPg(pool).connect();
    return {
      backend: postgres({ pool }),
      ask: () => adapter.queryRaw({ sql: 'select 1', args: [], argTypes: [] }),
      end: async () => {
        await adapter.dispose();
        await pool.end();
      },
    };
  },
  async Knex() {
    const knex = knexOf({ client: 'pg', connection: url });
    return {
      backend: postgres({ connectionString: url, max: 2 }),
      ask: () => knex.raw('select 1'),
      end: () => knex.destroy(),
    };
  },
  async MikroORM() {
    const orm = await MikroORM.init({ clientUrl: url, entities: [], discovery: { warnWhenNoEntities: false } });
    return {
      backend: postgres({ connectionString: url, max: 2 }),
      ask: () => orm.em.execute('select 1'),
      end: () => orm.close(),
    };
  },
};

for (const [name, make] of Object.entries(recipes)) {
  const { backend, ask, end } = await make();
  const app = await NestFactory.createApplicationContext(
    {
      module: class AppModule {},
      imports: [DistributedLockModule.forRoot({ backend })],
    },
    { logger: ['error', 'warn'] },
  );
  const locks = app.get(LockService);
  const held = await locks.acquire(`orm:${name}`);
  // A waiter opens the connection that listens; the library goes on asking beside it.
  const next = locks.withLock(`orm:${name}`, (lock) => lock.fencingToken);
  await Promise.all([ask(), sleep(50)]);
  await held.release();
  const token = await next;
  if (token === undefined || held.fencingToken === undefined || token <= held.fencingToken)
    throw new Error(`${name}: ${token} after ${held.fencingToken}`);
  await app.close();
  // Its pool is its own: it was not ended.
  await ask();
  await end();
  console.log(`${name}: locked`);
}
console.log('all well');

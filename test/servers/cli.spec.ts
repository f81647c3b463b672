import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LockBackend } from '../../lib/backends/backend.js';
import { consul } from '../../lib/backends/consul/index.js';
import { etcd } from '../../lib/backends/etcd/index.js';
import { mysql } from '../../lib/backends/mysql/index.js';
import { postgres } from '../../lib/backends/postgres/index.js';
import { redis } from '../../lib/backends/redis/index.js';
import { redlock } from '../../lib/backends/redlock/index.js';
import { zookeeper } from '../../lib/backends/zookeeper/index.js';
import { run } from '../../lib/cli/run.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { startConsul } from './consul.js';
import { startEtcd } from './etcd.js';
import { eventually } from './eventually.js';
import { freePort } from './free-port.js';
import { startMariadb } from './mariadb.js';
import { startPostgres } from './postgres.js';
import type { ServerControl } from './process.js';
import { type RedisServer, startRedis } from './redis.js';
import { Transpiled } from './transpiled.js';
import { startZooKeeper } from './zookeeper.js';

const program = new Transpiled(['cli', 'engine', 'backends', 'lock']);
const mainOf = ({ root }: Transpiled): string => join(root, 'lib/cli/main.js');

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** What the program does, without a process around it. */
const cli = (args: readonly string[]): Promise<Ran> => run(args, { env: {} });

/** The program as a process of its own, without a terminal. */
function cliProcess(
  args: readonly string[],
  { env = {}, from = program }: { env?: NodeJS.ProcessEnv; from?: Transpiled } = {},
) {
  return new Promise<Ran>((resolve) => {
    const child = execFile(
      process.execPath,
      [mainOf(from), ...args],
      { env: { ...process.env, ...env } },
      (error, out, err) => resolve({ code: error ? Number(error.code) : 0, out, err }),
    );
    child.stdin?.end();
  });
}

/** The program at a terminal, where somebody types the answer as soon as it asks. */
async function cliAtTerminal(args: readonly string[], answer: () => Promise<string>): Promise<string> {
  const command = [process.execPath, mainOf(program), ...args];
  const child = spawn('script', ['-qec', command.map((word) => `'${word}'`).join(' '), '/dev/null']);
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  await eventually('it asks', () => said.includes('[y/N]'));
  child.stdin.write(`${await answer()}\n`);
  return `${said && (await ended)}: ${said}`;
}

let server: RedisServer;
let url: string;
const engines: LockEngine[] = [];

function engineOn(backend: LockBackend): LockEngine {
  // The first question to a database waits for its tables to be made.
  const engine = new LockEngine(backend, { callTimeout: '20s' });
  engines.push(engine);
  return engine;
}

beforeAll(async () => {
  server = await startRedis();
  ({ url } = server);
});

afterAll(async () => {
  await Promise.all(engines.map((engine) => engine.close(0)));
  await server.stop();
  program[Symbol.dispose]();
});

describe('npx nestjs-distributed-lock list', () => {
  it('shows people one line for each holder, and programs JSON with tokens as texts', async () => {
    const engine = engineOn(redis({ url }));
    const order = await engine.acquire('list:order:42');
    const second = engine.acquire('list:order:42', { wait: Infinity });
    await engine.acquire('list:pool', { limit: 3 });
    await engine.acquire('list:pool', { limit: 3 });
    await engine.acquire('list:\u001B[31mred');
    await eventually('it waits', async () => (await engine.inspect('list:order:42')).waiting === 1);

    const [people, programs] = await Promise.all([
      cliProcess(['list', '--redis', url, '--match', 'list:*']),
      cliProcess(['list', '--redis', 'env:LOCKS_AT', '--match', 'list:o*', '--json'], { env: { LOCKS_AT: url } }),
    ]);

    expect([people.code, people.err]).toEqual([0, '']);
    const [header = '', red = '', held = '', pool = '', poolToo = '', end] = people.out.split('\n');
    expect(header).toMatch(/^KEY +MODE +HOLDER +HELD +LEASE +TOKEN +WAITING$/);
    expect(red).toMatch(/^list:\\u\{1b\}\[31mred +exclusive/);
    expect(held).toMatch(
      new RegExp(`^list:order:42 +exclusive +${order.owner} +[\\d.]+m?s +1\\ds +${order.fencingToken} +1$`),
    );
    expect(pool).toMatch(/^list:pool +2 of 3 /);
    expect(poolToo).toMatch(/^ {20,}\S/);
    expect(end).toBe('');

    const locks = JSON.parse(programs.out) as { key: string; holders: object[] }[];
    expect(locks).toMatchObject([
      {
        key: 'list:order:42',
        held: true,
        waiting: 1,
        holders: [{ owner: order.owner, fencingToken: `${order.fencingToken}` }],
      },
    ]);
    await order.release();
    await (await second).release();
  });

  it('shows at most --limit keys, and says that there are more', async () => {
    const engine = engineOn(redis({ url }));
    for (const key of ['limit:a', 'limit:b', 'limit:c']) await engine.acquire(key);
    const [two, three] = await Promise.all(
      ['2', '3'].map((limit) => cli(['list', '--redis', url, '--match', 'limit:*', '--limit', limit])),
    );
    expect(two?.out.match(/^limit:/gm)).toHaveLength(2);
    expect(two?.err).toBe('There are more than 2 keys. Show more with `--limit`, or fewer with `--match`.\n');
    expect([three?.out.match(/^limit:/gm)?.length, three?.err]).toEqual([3, '']);
  });

  it('says so when nothing is held, and keeps to the prefix', async () => {
    const ran = await cli(['list', '--redis', url, '--prefix', 'other-service:']);
    expect(ran).toEqual({ code: 0, out: 'No key is held or waited for.\n', err: '' });
  });
});

describe('npx nestjs-distributed-lock inspect', () => {
  it('names holders and waiters, and ends with 3 for a free key', async () => {
    const engine = engineOn(redis({ url }));
    const lock = await engine.acquire('inspect:held');
    const [held, free] = await Promise.all([
      cli(['inspect', 'inspect:held', '--redis', url]),
      cli(['inspect', 'inspect:free', '--redis', url, '--json']),
    ]);
    expect(held.code).toBe(0);
    expect(held.out).toContain('inspect:held is held, exclusive; nobody waits.\n');
    expect(held.out).toContain(lock.owner);
    expect([free.code, JSON.parse(free.out)]).toMatchObject([3, { key: 'inspect:free', held: false, holders: [] }]);
  });
});

describe('npx nestjs-distributed-lock release', () => {
  it('with --yes takes the key from its holder, who hears of it, and ends with 3 when nobody has it', async () => {
    const engine = engineOn(redis({ url }));
    const lock = await engine.acquire('release:stuck', { ttl: '6s' });
    const lost = new Promise((resolve) => lock.signal.addEventListener('abort', resolve));
    expect(await cliProcess(['release', 'release:stuck', '--redis', url, '--yes'])).toEqual({
      code: 0,
      out: 'release:stuck was released.\n',
      err: '',
    });
    await lost;
    const again = await cli(['release', 'release:stuck', '--redis', url, '--yes', '--json']);
    expect([again.code, JSON.parse(again.out)]).toEqual([3, { key: 'release:stuck', outcome: 'free' }]);
  });

  it('asks at a terminal, and takes only a yes for one', async () => {
    const engine = engineOn(redis({ url }));
    const lock = await engine.acquire('release:asked');
    const args = ['release', 'release:asked', '--redis', url];
    expect(await cliAtTerminal(args, async () => '')).toMatch(/^1: [^]*was left as it is/);
    expect(lock.held).toBe(true);
    const yes = await cliAtTerminal(args, async () => 'y');
    expect(yes).toContain(lock.owner);
    expect(yes).toMatch(/^0: [^]*release:asked was released/);
  });

  it('leaves a key alone that somebody else holds by the time of the answer', async () => {
    const engine = engineOn(redis({ url }));
    const lock = await engine.acquire('release:moved');
    const said = await cliAtTerminal(['release', 'release:moved', '--redis', url], async () => {
      await lock.release();
      await engine.acquire('release:moved');
      return 'y';
    });
    expect(said).toMatch(/^1: [^]*Somebody else holds release:moved by now/);
    expect((await engine.inspect('release:moved')).held).toBe(true);
  });

  it('releases nothing without --yes where nobody can be asked', async () => {
    const { code, err } = await cli(['release', 'release:pipe', '--redis', url]);
    expect(code).toBe(2);
    expect(err).toMatch(/^Nobody can be asked here\. Say `--yes`/);
  });
});

describe('what goes wrong', () => {
  it('is said within the timeout when the server does not answer, without the password', async () => {
    const port = await freePort();
    const at = `127.0.0.1:${port}`;
    const secret = { PGPASSWORD: 'hush', MYSQL_PWD: 'hush', REDISCLI_AUTH: 'hush', CONSUL_HTTP_TOKEN: 'hush' };
    const runs = await Promise.all(
      [
        ['--redis', `redis://user:hush@${at}`],
        ['--etcd', at],
        ['--consul', `http://${at}`],
        ['--zookeeper', at],
        ['--postgres', `postgres://user:hush@${at}/app`],
        ['--mysql', `mysql://user:hush@${at}/app`],
      ].map((address) => cliProcess(['list', ...address, '--timeout', '700ms'], { env: secret })),
    );
    for (const { code, out, err } of runs) {
      expect([code, out]).toEqual([1, '']);
      expect(err).toMatch(
        /^The lock backend '[\w-]+' \(\w+\) could not list its locks: .+\. Check that the server runs/,
      );
      expect(err).not.toContain('hush');
    }
  });

  it('is said when a server stands still', async () => {
    await using frozen = await startRedis({ own: true });
    frozen.pause();
    const { code, err } = await cli(['list', '--redis', frozen.url, '--timeout', '500ms']);
    expect([code, err]).toEqual([1, expect.stringContaining('no answer within 500 ms')]);
  });

  it('is said when the package of the client is not installed', async () => {
    using from = program.with(['ms']);
    const [ioredis, etcd3, pg, mysql2] = await Promise.all([
      cliProcess(['list', '--redis', url], { from }),
      cliProcess(['list', '--etcd', '127.0.0.1:1'], { from }),
      cliProcess(['list', '--postgres', 'postgres://127.0.0.1:1/app'], { from }),
      cliProcess(['list', '--mysql', 'mysql://127.0.0.1:1/app'], { from }),
    ]);
    expect(ioredis).toMatchObject({ code: 1, out: '' });
    expect(ioredis?.err).toMatch(
      /^`--redis` needs the package ioredis, which is not installed here\. Install it with `npm install ioredis`/,
    );
    expect(etcd3?.err).toMatch(/^`--etcd` needs the package etcd3/);
    expect(pg?.err).toMatch(/^`--postgres` needs the package pg/);
    expect(mysql2?.err).toMatch(/^`--mysql` needs the package mysql2/);
  });
});

describe('on every server', () => {
  const started: (readonly [option: string, ServerControl, address: string, LockBackend])[] = [];

  beforeAll(async () => {
    const all = await Promise.all([
      startEtcd().then(
        (etcdServer) => ['--etcd', etcdServer, etcdServer.host, etcd({ hosts: etcdServer.host })] as const,
      ),
      startConsul().then((agent) => ['--consul', agent, agent.url, consul({ url: agent.url })] as const),
      startZooKeeper().then(
        (zk) => ['--zookeeper', zk, `${zk.host}/cli`, zookeeper({ connect: zk.host, chroot: '/cli' })] as const,
      ),
      startPostgres().then((pg) => ['--postgres', pg, pg.url, postgres({ connectionString: pg.url })] as const),
      startMariadb().then((db) => ['--mysql', db, db.uri, mysql({ uri: db.uri })] as const),
    ]);
    started.push(...all);
  }, 90_000);

  afterAll(async () => {
    await Promise.all(engines.map((engine) => engine.close(0)));
    await Promise.all(started.map(([, each]) => each.stop()));
  });

  it('lists, inspects and releases', async () => {
    await Promise.all(
      started.map(async ([option, , address, backend]) => {
        const engine = engineOn(backend);
        await engine.ping();
        const lock = await engine.acquire('everywhere');
        const listed = await cli(['list', option, address, '--json']);
        const released = await cli(['release', 'everywhere', option, address, '--yes']);
        const after = await cli(['inspect', 'everywhere', option, address]);
        expect({ option, listed: JSON.parse(listed.out), released, after: after.code }).toMatchObject({
          option,
          listed: [{ key: 'everywhere', holders: [{ owner: lock.owner, fencingToken: `${lock.fencingToken}` }] }],
          released: { code: 0, out: 'everywhere was released.\n', err: '' },
          after: 3,
        });
      }),
    );
  });

  it('says what each of several Redis servers thinks, and which of them says nothing', async () => {
    const masters = await Promise.all([1, 2, 3].map(() => startRedis({ own: true })));
    const urls = masters.map((master) => master.url);
    const engine = engineOn(redlock({ urls, restartGuard: false }));
    const lock = await engine.acquire('everywhere');
    await masters[2]?.kill();
    const address = urls.join(',');
    const [inspected, listed] = await Promise.all([
      cli(['inspect', 'everywhere', '--redlock', address]),
      cli(['list', '--redlock', address, '--json']),
    ]);
    const [first, second, third] = urls.map((each) => each.slice('redis://'.length));
    const lines = inspected.out.split('\n').map((line) => line.replace(/ {2,}/, '  '));
    expect(lines).toEqual(
      expect.arrayContaining([
        `${first}  held by ${lock.owner}`,
        `${second}  held by ${lock.owner}`,
        expect.stringMatching(new RegExp(`^${third} {2}nothing: .+`)),
      ]),
    );
    expect(JSON.parse(listed.out)).toMatchObject([
      { key: 'everywhere', nodes: [{ node: first }, { node: second }, { node: third, error: expect.any(String) }] },
    ]);
    await engine.close(0);
    await Promise.all(masters.map((master) => master.stop()));
  });

  it('creates no tables in a database that has none', async () => {
    const address = started.find(([option]) => option === '--postgres')?.[2] ?? '';
    const { code, err } = await cli(['list', '--postgres', address, '--schema', 'not_there']);
    expect(code).toBe(1);
    expect(err).toContain('not_there');
  });
});

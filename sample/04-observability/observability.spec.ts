import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { redis as redisBackend } from '../../lib/backends/redis/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { eventually } from '../../test/servers/eventually.js';
import { freePort } from '../../test/servers/free-port.js';
import { ServerProcess } from '../../test/servers/process.js';
import { type RedisServer, startRedis } from '../../test/servers/redis.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const RULES = here('prometheus/locks.rules.yml');

interface DataSource {
  readonly type: string;
  readonly uid: string;
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource: DataSource;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly fieldConfig: { readonly defaults: { readonly unit?: string } };
  readonly targets: readonly { readonly refId: string; readonly expr: string; readonly datasource: DataSource }[];
}

interface Board {
  readonly uid: string;
  readonly title: string;
  readonly schemaVersion: number;
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
  readonly panels: readonly Panel[];
}

const boardSource = readFileSync(here('grafana/locks.json'), 'utf8');
const board = JSON.parse(boardSource) as Board;
/** What Grafana puts in place of its variables. */
const boardExpressions = board.panels.flatMap(({ title, targets }) =>
  targets.map(
    ({ expr }) => [title, expr.replaceAll(/\$(name|backend)/g, '.*').replaceAll('$__rate_interval', '30s')] as const,
  ),
);

let redis: RedisServer;
let prometheus: ServerProcess;
let pods: readonly Pod[];
let prometheusUrl: string;

interface Pod {
  readonly url: string;
  stop(): void;
}

beforeAll(async () => {
  redis = await startRedis({ own: true });
  pods = await Promise.all([startPod(), startPod()]);
  prometheusUrl = `http://127.0.0.1:${await freePort()}`;
  prometheus = await ServerProcess.start({
    name: 'prometheus',
    command: 'prometheus',
    prepare: (dataDir) => {
      const targets = pods.map(({ url }) => `'${new URL(url).host}'`).join(', ');
      const config = readFileSync(here('prometheus/prometheus.yml'), 'utf8')
        .replaceAll('15s', '1s')
        .replace('locks.rules.yml', RULES)
        .replace("'localhost:3000'", targets);
      writeFileSync(join(dataDir, 'prometheus.yml'), config);
    },
    args: (dataDir) => [
      `--config.file=${join(dataDir, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(dataDir, 'data')}`,
      `--web.listen-address=${new URL(prometheusUrl).host}`,
    ],
    ready: async () => (await fetch(`${prometheusUrl}/-/ready`)).ok,
  });
}, 60_000);

afterAll(async () => {
  for (const pod of pods) pod.stop();
  await Promise.all([prometheus.stop(), redis.stop()]);
});

async function startPod(): Promise<Pod> {
  const port = await freePort();
  const child = spawn(process.execPath, ['--import', '@oxc-node/core/register', here('src/main.ts')], {
    env: {
      ...process.env,
      PORT: `${port}`,
      REDIS_URL: redis.url,
      LOCK_TTL_MS: '3000',
      OPERATOR_PASSWORD: 'secret',
      NO_COLOR: '1',
    },
    stdio: 'ignore',
  });
  const url = `http://127.0.0.1:${port}`;
  await eventually('the service answers', async () => (await fetch(`${url}/health`)).ok, { within: 55_000 });
  return { url, stop: () => void child.kill('SIGKILL') };
}

interface Answer {
  readonly data: {
    readonly result: readonly { readonly metric: Record<string, string>; readonly value: readonly [number, string] }[];
  };
}

async function ask(expression: string): Promise<Answer['data']['result']> {
  const response = await fetch(`${prometheusUrl}/api/v1/query`, {
    method: 'POST',
    body: new URLSearchParams({ query: expression }),
  });
  if (!response.ok) throw new Error(`${expression}: ${await response.text()}`);
  return ((await response.json()) as Answer).data.result;
}

/** Whether there is a number. */
const hasData = async (expression: string): Promise<boolean> =>
  (await ask(expression)).some(({ value }) => !Number.isNaN(Number(value[1])));

const pack = (pod: Pod | undefined, id: string, milliseconds: number): Promise<number> =>
  fetch(`${pod?.url}/orders/${id}?for=${milliseconds}`, { method: 'POST' }).then(({ status }) => status);

/** What the service has to live through, so that everything is counted at least once. */
async function hardship(): Promise<void> {
  const [one, two] = pods;
  // Waits, a timeout, and a loss by force.
  const long = pack(one, 'long', 2_000);
  await eventually('it holds the lock', async () =>
    (await fetch(`${one?.url}/metrics`)).text().then((text) => /^lock_held\{.*\} 1$/m.test(text)),
  );
  expect(await pack(two, 'long', 1)).toBe(423);
  const engine = new LockEngine(redisBackend({ url: redis.url }));
  expect(await engine.forceRelease('order:long')).toBe(true);
  await engine.close(0);
  expect(await long).toBe(409);
  // A server that stands still: a renewal, a release and a call are not confirmed, and a lease ends.
  const [renewing, releasing] = [pack(one, 'renewing', 6_000), pack(one, 'releasing', 1_500)];
  await eventually('both are held', async () =>
    (await fetch(`${one?.url}/metrics`)).text().then((text) => /^lock_held\{.*\} 2$/m.test(text)),
  );
  redis.pause();
  expect(await pack(two, 'failing', 1)).toBe(503);
  await Promise.all([renewing, releasing]);
  redis.resume();
  await eventually('the service recovers', async () => (await fetch(`${two?.url}/health`)).ok);
}

describe('what the service tells Prometheus', () => {
  let stop = false;
  let traffic: Promise<unknown>;

  beforeAll(async () => {
    const run = async (pod: Pod | undefined): Promise<void> => {
      for (let i = 0; !stop; i++) await pack(pod, `${i % 3}`, 20);
    };
    // The first scrapes have to see the counters before they grow.
    traffic = Promise.all([run(pods[0]), run(pods[1])]);
    await hardship();
  }, 60_000);

  afterAll(async () => {
    stop = true;
    await traffic;
  });

  it.each(boardExpressions)('has data for the panel %s: %s', async (_title, expression) => {
    await eventually(expression, () => hasData(expression));
  });

  it('has data for every rule, up to the threshold of an alert', async () => {
    const { data } = (await (await fetch(`${prometheusUrl}/api/v1/rules`)).json()) as {
      data: { groups: readonly { rules: readonly { name: string; query: string }[] }[] };
    };
    const rules = data.groups.flatMap(({ rules: each }) => each);
    expect(rules.map(({ name }) => name)).toHaveLength(9);
    for (const { query } of rules) {
      const measured = query.replace(/\s*(==|>)\s*[\d.]+$/, '');
      await eventually(measured, () => hasData(measured));
    }
  });

  it('raises the alert for a loss, with its reason', async () => {
    const reasons = await eventually('LockLost fires', async () => {
      const firing = await ask('ALERTS{alertname="LockLost", alertstate="firing"}');
      return firing.length >= 2 && firing.map(({ metric }) => metric['reason']);
    });
    // A holder that the server has no way to tell finds out by itself that the lock was taken.
    expect(reasons).toEqual(expect.arrayContaining(['expired', expect.stringMatching(/^(forced|taken)$/)]));
  });

  it('has few series, and no key, host or password in them', async () => {
    const series = await ask('{__name__=~"lock_.*"}');
    const texts = new Set(series.flatMap(({ metric: { instance: _, le: __, ...metric } }) => Object.values(metric)));
    expect([...texts].filter((text) => /\d{4}|renewing|127\.0|secret/.test(text))).toEqual([]);
    expect(new Set(series.map(({ metric }) => metric['name']).filter(Boolean))).toEqual(new Set(['order:<id>']));
  });
});

describe('the board', () => {
  const { panels } = board;

  it('is one that Grafana can import: with an address, a version of its schema and its own data source', () => {
    expect(board.uid).toMatch(/^[\w-]{1,40}$/);
    expect(board.schemaVersion).toBeGreaterThanOrEqual(36);
    const variables = new Map(board.templating.list.map(({ name, type }) => [name, type]));
    expect(variables.get('datasource')).toBe('datasource');
    const own = { type: 'prometheus', uid: '${datasource}' };
    for (const { datasource, targets } of panels) {
      expect([datasource, ...targets.map((target) => target.datasource)]).toEqual(
        Array.from({ length: targets.length + 1 }, () => own),
      );
    }
    // Grafana's own variables begin with two underscores.
    const used = boardSource.matchAll(/\$\{?([a-zA-Z]\w*)/g);
    expect(new Set([...used].map(([, name]) => name))).toEqual(new Set(variables.keys()));
  });

  it('has panels of kinds that every Grafana has, each with its number, its queries and its unit', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(new Set(panels.map(({ type }) => type))).toEqual(new Set(['stat', 'timeseries']));
    for (const { title, targets, fieldConfig } of panels) {
      expect(title).not.toBe('');
      expect(fieldConfig.defaults.unit).toMatch(/^(short|s|cps|ops|percentunit|reqps)$/);
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length);
    }
  });

  it('lays them side by side in the 24 columns of the grid', () => {
    const taken = new Set<string>();
    for (const { gridPos, title } of panels) {
      expect({ title, right: gridPos.x + gridPos.w <= 24 }).toEqual({ title, right: true });
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect({ title, free: !taken.has(`${x},${y}`) }).toEqual({ title, free: true });
          taken.add(`${x},${y}`);
        }
      }
    }
  });
});

describe('the glue', () => {
  const sources = new Map(
    ['app.module', 'health.controller', 'main', 'tracing'].map((file) => [
      file,
      readFileSync(here(`src/${file}.ts`), 'utf8'),
    ]),
  );
  /** The lines of code with one of these names, without imports, comments and brackets alone. */
  const linesWith = (names: RegExp) =>
    [...sources.values()]
      .join('\n')
      .split('\n')
      .filter((line) => names.test(line) && !/^\s*(import|\/\/|\/?\*)/.test(line));

  it.each([
    ['health', /LockHealthIndicator|isHealthy/, 3],
    ['metrics', /LockMetricsModule/, 1],
    ['tracing', /otel\(/, 1],
    ['the page', /LockAdminModule/, 1],
    ['logs', /\blog\b/, 0],
  ])('of %s is three lines at most', (_part, names, expected) => {
    expect(linesWith(names).length).toBeLessThanOrEqual(3);
    expect(linesWith(names)).toHaveLength(expected);
  });
});

it('the rules are well formed, and each alert has a runbook', () => {
  execFileSync('promtool', ['check', 'rules', RULES], { stdio: 'pipe' });
  const runbooks = readFileSync(here('README.md'), 'utf8');
  const rules = readFileSync(RULES, 'utf8');
  const alerts = [...rules.matchAll(/alert: (\w+)/g)].map(([, name = '']) => name);
  expect(alerts).toHaveLength(6);
  for (const name of alerts) {
    expect(runbooks).toContain(`### ${name}\n`);
    expect(rules).toContain(`runbook: README.md#${name.toLowerCase()}\n`);
  }
});

it('lets an operator see the page, and nobody else', async () => {
  const page = `${pods[0]?.url}/ops/locks`;
  const stranger = await fetch(page);
  expect([stranger.status, stranger.headers.get('www-authenticate')]).toEqual([401, 'Basic realm="locks"']);
  const authorization = `Basic ${Buffer.from('operator:secret').toString('base64')}`;
  expect(await (await fetch(page, { headers: { authorization } })).text()).toContain('<h1>Locks</h1>');
});

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { circlesIn, fileGraph, folderGraph, type Source, sourceOf } from './support/import-graph.js';

const LIB = fileURLToPath(new URL('../../lib', import.meta.url));

const sources: readonly Source[] = readdirSync(LIB, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => sourceOf(path, readFileSync(join(LIB, path), 'utf8')));

/** Ring by ring, from the inside: whom each may import besides itself, node's own modules and what is named. */
const rings: readonly { readonly ring: RegExp; readonly may: RegExp }[] = [
  { ring: /^lock\//, may: /^ms$/ },
  // The port: its first page, and what a first backend does without.
  { ring: /^backends\/[a-z-]+\.ts$/, may: /^backends\/(capabilities|claim|key-state)\.ts$|^lock\// },
  // It is made of other backends, and makes those of Redis itself.
  {
    ring: /^backends\/redlock\//,
    may: /^backends\/backend\.ts$|^backends\/redis\/|^lock\//,
  },
  // A backend speaks to the user in the words that all rings share, and knows no engine.
  {
    ring: /^backends\/([a-z]+)\//,
    may: /^backends\/backend\.ts$|^backends\/(line|sql)\/|^lock\/|^(ioredis|@redis\/client|etcd3|pg|mysql2(\/.*)?)$/,
  },
  // It is a user of the package as any other, and besides prints what the backends would install.
  {
    ring: /^cli\//,
    may: /^backends\/(backend|[a-z]+\/(index|schema\/index|schema-sql))\.ts$|^engine\/engine\.ts$|^lock\//,
  },
  { ring: /^engine\//, may: /^backends\/backend\.ts$|^lock\// },
  // What users' tests get: a module for their applications, and the suite for their backends.
  { ring: /^testing\//, may: /^backends\/(backend\.ts|memory\/)|^engine\/|^lock\/|^nest\/|^@nestjs\/common$/ },
  // What runs in a browser knows the frames that it is sent, and nothing else of the package.
  { ring: /^admin\/page\/src\//, may: /^admin\/page\/frame\.ts$/ },
  {
    ring: /^admin\//,
    may: /^nest\/service\/(application|lock\.service|options-factory)\.ts$|^lock\/|^@nestjs\/(common|core)$|^rxjs$/,
  },
  // What watches locks sees them as an application does, and each library only from its own folder.
  { ring: /^metrics\//, may: /^lock\// },
  { ring: /^terminus\//, may: /^lock\/|^nest\/|^@nestjs\/(common|core|terminus)$/ },
  { ring: /^prometheus\//, may: /^metrics\/|^lock\/|^nest\/|^@nestjs\/(common|core)$|^prom-client$|^rxjs$/ },
  { ring: /^opentelemetry\//, may: /^metrics\/|^lock\/|^@opentelemetry\/api$/ },
  {
    ring: /^nest\/|^index\.ts$/,
    may: /^nest\/|^backends\/(backend\.ts|memory\/(index|lock-table)\.ts)$|^engine\/|^lock\/|^@nestjs\/(common|core)(\/.*)?$|^rxjs(\/operators)?$|^reflect-metadata$/,
  },
];

const CLIENTS =
  /^(@nestjs\/terminus|prom-client|@opentelemetry\/api|ioredis|@redis\/client|redis|etcd3|pg|mysql2?|mariadb|node-zookeeper-client|consul)(\/|$)/;

describe('circles of imports, types included', () => {
  const files = fileGraph(sources);

  it('the graph is seen', () => {
    expect(files.size).toBeGreaterThan(150);
    expect([...files.values()].reduce((sum, imports) => sum + imports.size, 0)).toBeGreaterThan(500);
    const text = (name: string) => `export type { A } from './${name}.js'`;
    const round = fileGraph([
      sourceOf('x/a.ts', text('../y/b')),
      sourceOf('y/b.ts', text('../x/c')),
      sourceOf('x/c.ts', ''),
    ]);
    expect(circlesIn(round)).toEqual([]);
    expect(circlesIn(folderGraph(round))).toEqual([['x', 'y']]);
  });

  it('there is none among files', () => expect(circlesIn(files)).toEqual([]));

  it('there is none among folders', () => expect(circlesIn(folderGraph(files))).toEqual([]));
});

/** Files above 250 lines, each with the reason why it is not parted. None is above 300. */
const LONG: Readonly<Record<string, string>> = {
  'backends/memory/lock-table.ts': 'a whole lock server, with one state',
  'backends/mysql/mysql.ts': 'a verb each for all the verbs of the port',
  'backends/postgres/postgres.ts': 'a verb each for all the verbs of the port',
  'backends/redis/redis.ts': 'a verb each for all the verbs of the port',
  'backends/zookeeper/client/connection.ts': 'one connection, from its greeting to its end',
  'engine/engine.ts': 'all that the Nest layer asks of an engine',
  'engine/holding/hold.ts': 'one lock, with all the members of `Lock`',
  'engine/waiting/wait.ts': 'one state machine, whose fields are all read where it sleeps',
  'testing/contract/cases/reentrancy.ts': 'one promise, by its cases',
};

it('no file is long without a reason', () => {
  const lengths = sources.map(({ path, lines }) => ({ path, lines }));
  expect(lengths.filter(({ lines }) => lines > 300)).toEqual([]);
  expect(lengths.filter(({ path, lines }) => lines > 250 && !(path in LONG))).toEqual([]);
});

describe('the rings', () => {
  it.each(sources)('$path imports only inwards', ({ path, imports }) => {
    const found = rings.find(({ ring }) => ring.test(path));
    expect(found, 'the ring that it belongs to').toBeDefined();
    const [home = ''] = found!.ring.exec(path) ?? [];
    const strangers = imports.filter(
      (name) => !name.startsWith('node:') && !(home.endsWith('/') && name.startsWith(home)) && !found!.may.test(name),
    );
    expect(strangers).toEqual([]);
  });

  it('the root reaches no client library, not even for a type', () => {
    const reached = new Set<string>();
    const visit = (path: string): void => {
      if (reached.has(path)) return;
      reached.add(path);
      for (const name of sources.find((source) => source.path === path)?.imports ?? []) visit(name);
    };
    visit('index.ts');
    expect(reached.size).toBeGreaterThan(20);
    expect([...reached].filter((name) => CLIENTS.test(name))).toEqual([]);
    expect([...reached].filter((name) => name.startsWith('testing/'))).toEqual([]);
  });

  it('the shipped test helpers are tied to no test runner', () => {
    const runners = sources
      .flatMap(({ imports }) => imports)
      .filter((name) => /^(vitest|jest|@jest\/.*|mocha|chai|node:test)$/.test(name));
    expect(runners).toEqual([]);
  });
});

/** Lines of code in which one of these words stands. */
function linesWith(words: RegExp, folder: string): string[] {
  return sources
    .filter(({ path }) => path.startsWith(folder))
    .flatMap(({ path, code }) =>
      code.split('\n').flatMap((line) => (words.test(line) ? [`${path}: ${line.trim()}`] : [])),
    );
}

const TIME = /\bset(Timeout|Interval|Immediate)\b|\bDate\.now\b|\bnew Date\b|\bperformance\.now\b|\bhrtime\b/;

/** The few that a backend may have. */
const OWN_TIME = [
  // Two connections are kept up by nobody else: when to try again, when a silent one is given up, and how long goodbye may take.
  /^backends\/mysql\/(listener|options|inbox)\.ts: .*setTimeout\(/,
  // Where no engine lends it a clock.
  /^backends\/redlock\/system-clock\.ts: /,
  // It is the server.
  /^backends\/memory\/process-time\.ts: .*/,
  // Handed to the client, which has no other way to name a time limit.
  /^backends\/(etcd\/\w+|line\/cluster)\.ts: .*deadline: Date\.now\(\) \+ patience/,
  // A connection has one owner, who dials it again and asks it for a sign of life: no question of the engine's tells of a silent inbox.
  /^backends\/redis\/(own-connection|pulse|commands|cluster-inbox)\.ts: /,
  /^backends\/redis\/cluster-node\.ts: .*#silentSince/,
  // The listening connection is kept up by nobody else: when to try again, and when one that does not open or hears nothing is given up.
  /^backends\/postgres\/listener\.ts: .*setTimeout\(/,
  // How old an answer is that many share: the engine asks for each of them by itself.
  /^backends\/sql\/crowd\.ts: .*performance\.now\(\)/,
  // A stream of events is opened anew by nobody else, and hung up when it is not used.
  /^backends\/line\/contender\.ts: else this\.#confirmation = setTimeout\(confirm, CONFIRM_MS\)\.unref\(\);$/,
  // A connection is opened anew, and a silent one given up, by nobody else; and so is a session that nobody renews.
  /^backends\/zookeeper\/client\/(client|connection|waiting-questions)\.ts: .*\bset(Timeout|Immediate)\(/,
  /^backends\/zookeeper\/session\.ts: this\.#ending = setTimeout\(.*\.unref\(\);$/,
  // The server has no timer for a key that is kept closed.
  /^backends\/zookeeper\/kept-places\.ts: .*\bsetTimeout\b/,
  /^backends\/etcd\/watches\.ts: this\.#(linger|reconnect) = setTimeout\(.*\.unref\(\);$/,
  /^backends\/consul\/pause\.ts: setTimeout\(resolve, milliseconds\)\.unref\(\);$/,
];

describe('what belongs to one place only', () => {
  it('nothing writes to the console', () => {
    expect(linesWith(/\bconsole\./, '')).toEqual([]);
  });

  it("backends run no timers and read no clocks: those are the engine's", () => {
    expect(linesWith(TIME, 'backends/').filter((line) => !OWN_TIME.some((own) => own.test(line)))).toEqual([]);
  });

  it('the engine takes its time from its clock, and chance from its options', () => {
    const elsewhere = (line: string): boolean => !/^engine\/time\/(clock|waking-time)\.ts/.test(line);
    expect(linesWith(TIME, 'engine/').filter(elsewhere)).toEqual([]);
    expect(linesWith(/\bMath\.random\b/, 'engine/')).toEqual([
      'engine/engine.ts: const random = options.random ?? Math.random;',
    ]);
  });

  it('what is exported is named: no `export *`', () => {
    expect(linesWith(/export \*/, '')).toEqual([]);
  });
});

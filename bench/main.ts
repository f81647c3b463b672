/**
 * What our locks cost, beside the least that the server can do and beside the libraries that users pick today.
 * README.md has the figures and how to read them.
 */
import { parseArgs } from 'node:util';
import { benchRedis } from './redis.js';

const usage = `npm run bench -- [options]
  --backend name         what to measure: redis (unless told), redlock, etcd, zookeeper, consul, postgres, mysql
  --observed             what metrics and tracing cost, in memory and on Redis
  --page                 what the admin page costs over 10,000 held locks on Redis, in a real browser
  --quick                a look: few contenders, one round, three minutes at most
  --long                 also what takes long: 100,000 held locks
  --only a,b             these scenarios alone
  --cases a,b            and of these only the cases whose title has one of these texts: "4 processes × 16"
  --contenders a,b       these contenders alone, beside the floors
  --rounds n             as many rounds for everybody
  --json file            every trial and every figure
  --plots folder         where the plots go (bench in a full run)
  --no-pin               do not give the server a core of its own
  --no-peers             without other libraries, and so without installing them`;

const { values } = parseArgs({
  options: {
    backend: { type: 'string', default: 'redis' },
    observed: { type: 'boolean', default: false },
    page: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    long: { type: 'boolean', default: false },
    only: { type: 'string' },
    cases: { type: 'string' },
    contenders: { type: 'string' },
    rounds: { type: 'string' },
    json: { type: 'string' },
    plots: { type: 'string' },
    'no-pin': { type: 'boolean', default: false },
    'no-peers': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const list = (text: string | undefined): readonly string[] | undefined => text?.split(',').map((item) => item.trim());
const options = {
  effort: values.quick ? 'quick' : values.long ? 'long' : 'full',
  only: list(values.only),
  cases: list(values.cases),
  contenders: list(values.contenders),
  rounds: values.rounds === undefined ? undefined : Number(values.rounds),
  json: values.json,
  plots: values.plots,
  pin: !values['no-pin'],
  peers: !values['no-peers'],
} as const;

if (values.help) console.log(usage);
else if (values.observed) await (await import('./observed.js')).run(options);
else if (values.page) await (await import('./page.js')).run();
else if (values.backend === 'redis') await benchRedis(options);
else if (values.backend === 'etcd') await (await import('./etcd.js')).run(options);
else if (values.backend === 'redlock') await (await import('./redlock.js')).run(options);
else if (values.backend === 'zookeeper' || values.backend === 'consul')
  await (await import('./sessions.js')).run(values.backend, options);
else if (values.backend === 'postgres' || values.backend === 'mysql')
  await (await import('./sql.js')).run(values.backend, options);
else throw new Error(`There is no bench for "${values.backend}".\n${usage}`);

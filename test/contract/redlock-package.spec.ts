import { createRequire } from 'node:module';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { redlock, type RedlockInstance } from '../../lib/backends/redlock/index.js';
import { describeBackend } from '../../lib/testing/index.js';
import { onlyGroups } from './some-cases.js';
import { mastersFixture } from './redlock-fixture.js';

type Package = new (
  clients: Redis[],
  settings?: object,
) => RedlockInstance & {
  on(event: 'error' | 'clientError', listener: () => void): unknown;
};

// The package has no types.
const load = createRequire(import.meta.url);
const versions: Record<string, Package> = {
  '5.0.0-beta': (load('redlock') as { default: Package }).default,
  '4.x': load('redlock4') as Package,
};

for (const [version, Redlock] of Object.entries(versions)) {
  const { faults: { steal, residue } = {}, ...fixture } = mastersFixture(3, (urls) => {
    const clients = urls.map((url) => new Redis(url).on('error', () => undefined));
    const instance = new Redlock(clients);
    instance.on('error', () => undefined);
    instance.on('clientError', () => undefined);
    const backend = redlock({ redlock: instance });
    return Object.assign(backend, { close: async () => clients.forEach((client) => client.disconnect()) });
  });
  const harness = { describe, it, beforeAll, afterAll };
  describeBackend(
    `an instance of redlock ${version}`,
    // What the two versions answer differently is behind the port, and who gets in.
    version === '4.x' ? onlyGroups(harness, ['the port', 'promises: who is inside', 'a mutex', 'in the end']) : harness,
    { ...fixture, faults: { ...(steal && { steal }), ...(residue && { residue }) } },
  );
}

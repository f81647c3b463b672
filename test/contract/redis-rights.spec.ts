import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { redis } from '../../lib/backends/redis/index.js';
import { describeBackend } from '../../lib/testing/index.js';
import { redisFixture } from './redis-fixture.js';
import { forAnotherUser } from './parts.js';

/** What the page says that a user of locks needs, to the letter. */
function documentedRights(): readonly string[] {
  const page = readFileSync(new URL('../../lib/backends/redis/README.md', import.meta.url), 'utf8');
  const [, rights] = /ACL SETUSER locks on >… ([^`]*)```/.exec(page) ?? [];
  if (rights === undefined) throw new Error('the page has no line that begins with ACL SETUSER locks on >…');
  return rights.trim().split(/\s+/);
}

const rights = documentedRights();
// The suite has a prefix of its own, and asks the port for keys without one.
const keys = rights
  .filter((right) => right.startsWith('~'))
  .flatMap((right) => ['contract:', 'key-', '?%7Btogether'].map((prefix) => right.replaceAll('lock:', prefix)));

describeBackend(
  'redis for a user with the documented rights',
  forAnotherUser({ describe, it, beforeAll, afterAll }),
  redisFixture(
    ({ host, port }) => redis({ host, port, username: 'locks', password: 'secret' }),
    ['--user', 'locks', 'on', '>secret', ...rights, ...keys],
  ),
);

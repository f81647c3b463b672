import { afterAll, beforeAll, describe, it } from 'vitest';
import { mysql } from '../../lib/backends/mysql/index.js';
import { describeBackend } from '../../lib/testing/index.js';
import { mysqlFixture } from './mysql-fixture.js';

describeBackend(
  'mysql without procedures',
  { describe, it, beforeAll, afterAll },
  mysqlFixture(({ uri }) => mysql({ uri, connectionLimit: 3, procedures: false })),
);

import { readFileSync } from 'node:fs';
import { describeBackend } from 'nestjs-distributed-lock/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Table, tableBackend } from './example-backend.js';

const table = new Table();

describeBackend(
  'the backend of docs/backends.md',
  { describe, it, beforeAll, afterAll },
  { create: () => tableBackend(table), ttl: 1_000 },
);

it('is the one that the page shows', () => {
  const page = readFileSync(new URL('../../docs/backends.md', import.meta.url), 'utf8');
  const example = readFileSync(new URL('example-backend.ts', import.meta.url), 'utf8');
  expect(page).toContain(`\`\`\`ts\n// src/table-backend.ts\n${example}\`\`\``);
});

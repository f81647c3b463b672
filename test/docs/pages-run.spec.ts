import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { DistributedLockModule, memory } from 'nestjs-distributed-lock';
import { LockTestingModule } from 'nestjs-distributed-lock/testing';
import { register } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RecordingLogger } from '../nest/support/application.js';
import { type CodeBlock, codeBlocks, pathOf, ROOT } from './code-blocks.js';

/** Clients of Redis connect as soon as they are made, and there are no such hosts here. */
const CONNECTS = /new (Redis|Cluster)\(|createClient\(|createCluster\(/;

const blocks = ['docs', ...readdirSync(`${ROOT}lib/backends`).map((name) => `lib/backends/${name}`)]
  .flatMap((path) =>
    statSync(ROOT + path).isDirectory() ? readdirSync(ROOT + path).map((name) => `${path}/${name}`) : [],
  )
  .filter((page) => page.endsWith('.md'))
  .flatMap(codeBlocks);
const runnable = blocks.filter(({ file, code }) => file?.endsWith('.spec.ts') === false && !CONNECTS.test(code));

let folder: string;
beforeAll(() => {
  // Within the repository, whose packages they import.
  folder = mkdtempSync(join(ROOT, 'test/docs/pasted-'));
  for (const block of blocks) {
    const path = join(folder, pathOf(block));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, block.code);
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the file exports, as a pasted one would. */
const load = async (block: CodeBlock) => (await import(join(folder, pathOf(block)))) as Record<string, unknown>;

describe('what the pages have to paste', () => {
  it('is a lot', () => expect(runnable.length).toBeGreaterThan(12));

  it.each(runnable.map((block) => [block.where, block] as const))('loads: %s', async (_where, block) => {
    expect(Object.keys(await load(block))).not.toEqual([]);
  });

  const modules = runnable.filter(({ code }) => code.includes('@Module('));
  it.each(modules.map((block) => [block.where, block] as const))('starts and ends: %s', async (_where, block) => {
    register.clear();
    const exported = Object.values(await load(block)).filter((each): each is Type => typeof each === 'function');
    const imports = [
      ...exported.filter(({ name }) => name.endsWith('Module')),
      // Some are shown beside the lock module of the application.
      ...(block.code.includes('DistributedLockModule') ? [] : [DistributedLockModule.forRoot({ backend: memory() })]),
    ];
    // No server is contacted: what is looked at is that options and providers fit.
    const module = await LockTestingModule.override(Test.createTestingModule({ imports }))
      .setLogger(new RecordingLogger())
      .compile();
    await module.init();
    await module.close();
  });
});

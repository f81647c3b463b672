import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { DistributedLockModule, type Lock, LockService, memory } from 'nestjs-distributed-lock';
import { LockAdminModule } from 'nestjs-distributed-lock/admin';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LockBackend } from '../../lib/backends/backend.js';
import { quorum } from '../../lib/backends/redlock/index.js';
import { contrastsOf } from './contrast.js';
import { newPage, startBrowser } from './browser.js';

interface Application {
  readonly url: string;
  readonly locks: LockService;
  close(): Promise<void>;
}

async function applicationOn(
  adapter: ExpressAdapter | FastifyAdapter,
  backend: LockBackend = memory(),
): Promise<Application> {
  @Module({
    imports: [
      DistributedLockModule.forRoot({ backend, shutdownGrace: 0 }),
      LockAdminModule.forRoot({ path: 'ops/locks', guards: [], allowForceRelease: true, title: 'Locks of orders' }),
    ],
  })
  class App {}
  const app = await NestFactory.create(App, adapter, { logger: false });
  app.setGlobalPrefix('api');
  await app.listen(0, '127.0.0.1');
  return { url: `${await app.getUrl()}/api/ops/locks`, locks: app.get(LockService), close: () => app.close() };
}

let browser: Browser;
let applications: Readonly<Record<'Express' | 'Fastify', Application>>;

beforeAll(async () => {
  const [started, express, fastify] = await Promise.all([
    startBrowser(),
    applicationOn(new ExpressAdapter()),
    applicationOn(new FastifyAdapter()),
  ]);
  browser = started;
  applications = { Express: express, Fastify: fastify };
});

afterAll(async () => {
  await browser.close();
  await Promise.all(Object.values(applications).map((application) => application.close()));
});

/** The page, with its first look at the locks done. Whatever goes wrong in it fails the test at its end. */
async function withPage(
  { url }: Application,
  work: (page: Page) => Promise<void>,
  options: BrowserContextOptions = {},
): Promise<void> {
  const page = await newPage(browser, options);
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(url);
  await page.locator('#state[data-state=live]').waitFor();
  await work(page);
  expect(page.wrong).toEqual([]);
  expect(asked.filter((address) => !address.startsWith(url))).toEqual([]);
  await page.context().close();
}

const lineOf = (page: Page, key: string) =>
  page.locator('#rows tr', { has: page.getByRole('button', { name: key, exact: true }) });

const textsOf = async (page: Page, key: string): Promise<readonly string[]> =>
  lineOf(page, key).locator('td').allInnerTexts();

async function letGo(...locks: readonly Lock[]): Promise<void> {
  await Promise.all(locks.map((lock) => lock.release()));
}

// What each adapter answers is shown in test/admin; the browser sees one after the other.
describe('the page on Express and on Fastify', () => {
  it('shows keys, holders, waiters and leases, and changes as they do', async () => {
    const { locks } = applications.Express;
    const order = await locks.acquire('order:42');
    const pool = [await locks.acquire('smtp', { limit: 3 }), await locks.acquire('smtp', { limit: 3 })];
    const waiting = locks.acquire('order:42', { wait: Infinity });
    await withPage(applications.Express, async (page) => {
      await lineOf(page, 'order:42').and(page.locator('.contended')).waitFor();
      const [key, holder, , lease, waiters] = await textsOf(page, 'order:42');
      const [, host, pid] = /^(.*)-(\d+)-[\w-]{8}:\d+$/.exec(order.owner) ?? [];
      expect([key, holder, waiters]).toEqual(['order:42', `${host} · ${pid}`, '1']);
      expect(lease).toMatch(/^\d+s$/);
      expect((await textsOf(page, 'smtp'))[0]).toMatch(/^smtp\s*2 of 3$/);
      expect(await page.locator('#held').innerText()).toBe('2');

      await order.release();
      await lineOf(page, 'order:42').and(page.locator(':not(.contended)')).waitFor();
      const next = await waiting;
      const late = await locks.acquire('came:later');
      await lineOf(page, 'came:later').waitFor();
      await letGo(next, late, ...pool);
      await page.getByText('No lock is held or waited for.').waitFor();
      expect(await page.locator('#plot-caption').innerText()).toMatch(/last 10 minutes: 1, the longest/);
    });
  });

  it('takes a lock away after a second question, and not before', async () => {
    const { locks } = applications.Fastify;
    const stuck = await locks.acquire('stuck:1');
    const lost = new Promise((resolve) => stuck.signal.addEventListener('abort', resolve));
    await withPage(applications.Fastify, async (page) => {
      await page.getByRole('button', { name: 'stuck:1' }).click();
      const dialog = page.getByRole('dialog', { name: 'stuck:1' });
      await dialog.getByText(stuck.owner).waitFor();
      await dialog.getByRole('button', { name: 'Release by force…' }).click();
      await dialog.getByText('may go on until it hears of this').waitFor();
      await dialog.getByRole('button', { name: 'Leave it' }).click();
      expect(stuck.held).toBe(true);

      await dialog.getByRole('button', { name: 'Release by force…' }).click();
      await dialog.getByRole('button', { name: 'Yes, take it away' }).click();
      await dialog.getByRole('status').getByText('It was released.').waitFor();
      await lost;
      await dialog.getByText('nobody, at the last look').waitFor();
      expect(await dialog.getByRole('button', { name: 'Release by force…' }).isDisabled()).toBe(true);
    });
  });
});

describe('the page', () => {
  it('runs a lease down between two looks, to its end', async () => {
    const { locks } = applications.Express;
    await withPage(applications.Express, async (page) => {
      // When the page is there: on a slow machine its start may take as long as the lease.
      await locks.acquire('runs:down', { ttl: '4s', renew: false });
      const left = lineOf(page, 'runs:down').locator('.left');
      await left.getByText(/^[12]s$/).waitFor();
      await lineOf(page, 'runs:down').waitFor({ state: 'detached' });
    });
  });

  it('finds one of many by a part of its key, and sorts', async () => {
    const { locks } = applications.Express;
    const many = await Promise.all(Array.from({ length: 150 }, (_, i) => locks.acquire(`many:${i}`)));
    await withPage(applications.Express, async (page) => {
      await page.getByText('100 of 150 locks').waitFor();
      await page.getByRole('button', { name: 'Show more' }).click();
      await page.getByText('150 locks', { exact: true }).waitFor();
      await page.getByLabel('Sort by').selectOption('key');
      await page.getByLabel('Filter').fill('MANY:14');
      await page.getByText('11 locks', { exact: true }).waitFor();
      expect((await page.locator('#rows .key').allInnerTexts()).slice(0, 3)).toEqual([
        'many:14',
        'many:140',
        'many:141',
      ]);
      await page.getByLabel('Filter').fill('nothing like that');
      await page.getByText('No lock matches the filter.').waitFor();
    });
    await letGo(...many);
  });

  it('shows a key as what it is, whatever is in it', async () => {
    const { locks } = applications.Express;
    const keys = ['<img src=x onerror=alert(1)>', 'right\u202Eleft', '&amp;'];
    const held = await Promise.all(keys.map((key) => locks.acquire(key)));
    await withPage(applications.Express, async (page) => {
      await page.getByText('3 locks', { exact: true }).waitFor();
      const shown = await page.locator('#rows .key').allInnerTexts();
      expect(shown.toSorted()).toEqual(['&amp;', '<img src=x onerror=alert(1)>', 'right\\u{202e}left']);
    });
    await letGo(...held);
  });

  it('can be used with the keyboard alone', async () => {
    const { locks } = applications.Express;
    const lock = await locks.acquire('by:keyboard');
    await withPage(applications.Express, async (page) => {
      const focused = () => page.evaluate<string>('document.activeElement.id || document.activeElement.textContent');
      await lineOf(page, 'by:keyboard').waitFor();
      await page.keyboard.press('/');
      expect(await focused()).toBe('filter');
      await page.keyboard.press('Tab');
      expect(await focused()).toBe('sort');
      await page.keyboard.press('Tab');
      expect(await focused()).toBe('by:keyboard');
      await page.keyboard.press('Enter');
      await page.getByRole('dialog').waitFor();
      expect(await focused()).toBe('Close');
      await page.keyboard.press('Tab');
      expect(await focused()).toBe('Release by force…');
      await page.keyboard.press('Enter');
      // Not on the one that cannot be undone.
      expect(await focused()).toBe('Leave it');
      await page.keyboard.press('Enter');
      expect(await focused()).toBe('Release by force…');
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'hidden' });
      expect(await focused()).toBe('by:keyboard');
      // The focus stays where it is when the rows change.
      const other = await locks.acquire('another');
      await lineOf(page, 'another').waitFor();
      expect(await focused()).toBe('by:keyboard');
      await other.release();
    });
    await lock.release();
  });

  it.each(['light', 'dark'] as const)('is legible in the %s, also on a phone', async (colorScheme) => {
    const { locks } = applications.Express;
    const held = [
      await locks.acquire('a-key-that-is-very-long:'.repeat(10)),
      await locks.acquire('contended'),
      await locks.acquire('pool', { limit: 2 }),
    ];
    const waiting = locks.acquire('contended', { wait: Infinity });
    for (const viewport of [
      { width: 360, height: 740 },
      { width: 1280, height: 800 },
    ]) {
      const look = async (page: Page) => {
        await page.locator('.contended').waitFor();
        const legible = async () => {
          const contrasts = await contrastsOf(page);
          expect(contrasts.length).toBeGreaterThan(10);
          expect(contrasts.filter(({ contrast }) => contrast < 4.5)).toEqual([]);
          expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(
            viewport.width,
          );
        };
        await legible();
        await page.getByRole('button', { name: 'contended' }).click();
        await page.getByRole('button', { name: 'Release by force…' }).click();
        await legible();
      };
      await withPage(applications.Express, look, { viewport, colorScheme, reducedMotion: 'reduce' });
    }
    await letGo(...held);
    await (await waiting).release();
  });

  it('says when the application is gone, and goes on when it is back', async () => {
    const page = await newPage(browser);
    await page.goto(applications.Express.url);
    await page.locator('#state[data-state=live]').waitFor();
    // As during a deployment: refused for a while, and then there again.
    await page.route(/events=/, (route) => route.fulfill({ status: 503 }));
    await page.getByLabel('Sort by').selectOption('held');
    await page.getByText('Not connected; trying again').waitFor();
    await page.unroute(/events=/);
    await page.locator('#state[data-state=live]').waitFor();
    await page.context().close();
  });
});

it('says what each of several servers thinks of a lock, and why one says nothing', async () => {
  const [one, two, three] = [memory(), memory(), memory()];
  const silent = Object.assign(Object.create(three) as LockBackend, {
    inspect: () => Promise.reject(new Error('it is <away>')),
  });
  const application = await applicationOn(new ExpressAdapter(), quorum([one, two, silent]));
  const lock = await application.locks.acquire('order:42');
  await withPage(application, async (page) => {
    await page.getByRole('button', { name: 'order:42' }).click();
    const dialog = page.getByRole('dialog', { name: 'order:42' });
    await dialog.getByText('What each server says').waitFor();
    expect(await dialog.locator('.nodes li').allInnerTexts()).toEqual([
      expect.stringMatching(new RegExp(`^memory \\(1\\)\\s*${lock.owner} has it$`)),
      expect.stringMatching(new RegExp(`^memory \\(2\\)\\s*${lock.owner} has it$`)),
      expect.stringMatching(/^memory \(3\)\s*says nothing: it is <away>$/),
    ]);
    await letGo(lock);
  });
  await application.close();
});

import { setImmediate } from 'node:timers/promises';
import { Inject, Injectable, type ModuleMetadata, type OnModuleInit, Scope } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  DistributedLockModule,
  Leader,
  type Leadership,
  type LockBackend,
  LockClosedError,
  LockConfigurationError,
  LockService,
  memory,
} from 'nestjs-distributed-lock';
import { filter, firstValueFrom } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { type Application, applicationWith, nextEvent, RecordingLogger } from './support/application.js';
import { Gate } from './support/gate.js';

/** One pod of a service whose locks are on that backend. */
function pod(backend: LockBackend, parts: ModuleMetadata = {}): Promise<Application> {
  return applicationWith({ ...parts, imports: [DistributedLockModule.forRoot({ backend })] });
}

const electionOf = (application: Application, name = 'outbox') => application.get(LockService).leader(name);

const leads = (application: Application, name = 'outbox') =>
  firstValueFrom(electionOf(application, name).leader$.pipe(filter((leadership) => leadership !== null)));

async function waits(application: Application): Promise<void> {
  const waiting = nextEvent(application, 'waiting');
  electionOf(application);
  await waiting;
}

/** Two pods; the first leads and the second stands in line. */
async function twoPods(parts: ModuleMetadata = {}) {
  const backend = memory();
  const first = await pod(backend, parts);
  await leads(first);
  const second = await pod(backend);
  await waits(second);
  return [first, second] as const;
}

describe('LockService.leader()', () => {
  it('lets one of two applications lead', async () => {
    const [first, second] = await twoPods();
    expect([electionOf(first).isLeader, electionOf(second).isLeader]).toEqual([true, false]);
    expect(electionOf(first).leadership).toMatchObject({ name: 'outbox', held: true });
    expect([electionOf(second).leadership, electionOf(second).fencingToken]).toEqual([null, undefined]);
  });

  it('hands over when the application closes, before its servers and providers do', async () => {
    const log: string[] = [];

    @Injectable()
    class Database {
      onApplicationShutdown(): void {
        log.push('database closed');
      }
    }

    const [first, second] = await twoPods({ providers: [Database] });
    const token = electionOf(first).fencingToken;
    electionOf(first).lead(async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      expect(signal.reason).toBeInstanceOf(LockClosedError);
      await setImmediate();
      log.push('work stopped');
    });
    const elected = leads(second).then((leadership) => {
      log.push('next one leads');
      return leadership;
    });
    const closing = first.module.close();
    expect((await elected)?.fencingToken).toBeGreaterThan(token ?? 0n);
    await closing;
    expect(log).toEqual(['work stopped', 'next one leads', 'database closed']);
    expect(electionOf(first).isLeader).toBe(false);
  });

  it('tells every change by leader$, the present state first', async () => {
    const backend = memory();
    const application = await pod(backend);
    const seen: (bigint | null | undefined)[] = [];
    const election = electionOf(application);
    const subscription = election.leader$.subscribe((leadership) => seen.push(leadership && leadership.fencingToken));
    const first = await leads(application);
    await election.resign();
    election.campaign();
    const second = await leads(application);
    subscription.unsubscribe();
    await election.resign();
    expect(seen).toEqual([null, first?.fencingToken, null, second?.fencingToken]);
  });

  it('is one election for each name, whoever asks', async () => {
    const locks = (await pod(memory())).get(LockService);
    const election = locks.leader('outbox', { ttl: '20s' });
    expect(locks.leader('outbox')).toBe(election);
    expect(locks.leader('outbox', { ttl: 20_000 })).toBe(election);
    expect(locks.leader('reports')).not.toBe(election);
    expect(() => locks.leader('outbox', { ttl: '5s' })).toThrow(
      'This application stands for "outbox" twice, with the `ttl` 20s and 5s. Give it in one place.',
    );
    expect(() => locks.leader('outbox', { wait: 0 } as object)).toThrow(
      '`wait` is not an option of a leader election. Known: `ttl`.',
    );
  });

  it('stands for nothing before every onModuleInit is through', async () => {
    const backend = memory();
    const heldAtBoot: boolean[] = [];

    @Injectable()
    class Early implements OnModuleInit {
      constructor(@Inject(LockService) readonly locks: LockService) {
        locks.leader('outbox');
      }

      async onModuleInit(): Promise<void> {
        await setImmediate();
        heldAtBoot.push((await this.locks.inspect('leader:outbox')).held);
      }
    }

    const application = await pod(backend, { providers: [Early] });
    await leads(application);
    expect(heldAtBoot).toEqual([false]);
  });

  it('has nothing elected that is asked for during the shutdown', async () => {
    const backend = memory();
    const application = await pod(backend);
    await application.module.close();
    electionOf(application, 'late');
    await setImmediate();
    expect(await backend.inspect('lock:leader:late')).toMatchObject({ holders: [], waiting: 0 });
  });

  it('goes on with the shutdown when the work of a leader does not end', async () => {
    const application = await applicationWith({
      imports: [DistributedLockModule.forRoot({ backend: memory(), shutdownGrace: 20 })],
    });
    electionOf(application).lead(() => new Gate().passed);
    await leads(application);
    await application.module.close();
    expect(application.logger.texts('warn').join()).toContain('has not ended although its `signal` aborted');
  });
});

describe('@Leader', () => {
  it('calls the method at the beginning of each term, on its own object', async () => {
    @Injectable()
    class Outbox {
      readonly terms: Leadership[] = [];

      @Leader('outbox')
      publish(leadership: Leadership): void {
        this.terms.push(leadership);
      }
    }

    const application = await pod(memory(), { providers: [Outbox, { provide: 'alias', useExisting: Outbox }] });
    const outbox = application.get(Outbox);
    await leads(application);
    await electionOf(application).resign();
    electionOf(application).campaign();
    await leads(application);
    expect(outbox.terms.map(({ held }) => held)).toEqual([false, true]);
  });

  it('calls an inherited method once, and an override in its place', async () => {
    const calls: string[] = [];

    class Base {
      @Leader('outbox')
      publish(): void {
        calls.push('base');
      }
    }

    @Injectable()
    class Inheriting extends Base {}

    @Injectable()
    class Overriding extends Base {
      @Leader('outbox')
      override publish(): void {
        calls.push('override');
      }
    }

    const application = await pod(memory(), { providers: [Inheriting, Overriding] });
    await leads(application);
    expect(calls.toSorted()).toEqual(['base', 'override']);
  });

  it('stands on the backend that it names', async () => {
    @Injectable()
    class Outbox {
      readonly elected = new Gate();

      @Leader('outbox', { backend: 'audit', ttl: '30s' })
      publish(): void {
        this.elected.open();
      }
    }

    const application = await applicationWith({
      imports: [DistributedLockModule.forRoot({ backends: { main: memory(), audit: memory() }, default: 'main' })],
      providers: [Outbox],
    });
    await application.get(Outbox).elected.passed;
    expect(await application.get(LockService).inspect('leader:outbox')).toMatchObject({ held: false });
  });

  it('logs a failure and gives the office to the next', async () => {
    @Injectable()
    class Outbox {
      @Leader('outbox')
      async publish({ signal }: Leadership): Promise<void> {
        await new Promise((resolve) => setTimeout(resolve, 1));
        if (!signal.aborted) throw new Error('the disk is full');
      }
    }

    const backend = memory();
    const first = await pod(backend, { providers: [Outbox] });
    await leads(first);
    const second = await pod(backend);
    await leads(second);
    // Nest's own logger is one for the process: that of the application that was made last.
    expect([first, second].flatMap(({ logger }) => logger.texts('error')).join()).toContain('the disk is full');
  });

  it('is refused at boot on a request-scoped class', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Outbox {
      @Leader('outbox')
      publish(): void {}
    }

    const module = await Test.createTestingModule({
      imports: [DistributedLockModule.forRoot({ backend: memory() })],
      providers: [Outbox],
    })
      .setLogger(new RecordingLogger())
      .compile();
    await expect(module.init()).rejects.toThrow(
      'Outbox.publish is @Leader, but its class is request-scoped or transient',
    );
    // Nest 11 rejects here as well after a failed start.
    await module.close().catch(() => undefined);
  });

  it('is refused on what is no method of an object', () => {
    expect(() => {
      class Outbox {
        @Leader('outbox')
        static publish(): void {}
      }
      return Outbox;
    }).toThrow(LockConfigurationError);
  });
});

import { Injectable, type Type } from '@nestjs/common';
import { Cron, Interval, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { DistributedLockModule, type LockBackend, Locked, LockService, memory } from 'nestjs-distributed-lock';
import { filter, firstValueFrom, take, toArray } from 'rxjs';
import { beforeEach, describe, expect, it } from 'vitest';
import { type Application, applicationWith } from './support/application.js';

/** Who ran what, over all pods of a test. */
let ran: string[];
beforeEach(() => {
  ran = [];
});

/** Far from now: the tests tick themselves. */
const NIGHTLY = '0 3 1 1 *';
/** So that a test can wait for what a tick began. */
const AWAITED = { waitForCompletion: true };

function pod(backend: LockBackend, jobs: Type): Promise<Application> {
  return applicationWith({
    imports: [ScheduleModule.forRoot(), DistributedLockModule.forRoot({ backend })],
    providers: [jobs],
  });
}

/** The clocks of all pods say that it is time, and each pod has dealt with it. */
async function tick(pods: readonly Application[], name = 'nightly'): Promise<void> {
  await Promise.all(pods.map((each) => each.get(SchedulerRegistry).getCronJob(name).fireOnTick()));
}

const errors = (pods: readonly Application[]) => pods.flatMap(({ logger }) => logger.texts('error'));

describe('a scheduled method on several pods', () => {
  @Injectable()
  class Jobs {
    @Cron(NIGHTLY, { name: 'nightly', ...AWAITED })
    @Locked('nightly', { onBusy: 'skip', minHold: '1m' })
    async nightly(): Promise<void> {
      ran.push('nightly');
    }

    @Locked('above', { onBusy: 'skip', minHold: '1m' })
    @Cron(NIGHTLY, { name: 'above', ...AWAITED })
    async above(): Promise<void> {
      ran.push('above');
    }

    @Cron(NIGHTLY, { name: 'frequent', ...AWAITED })
    @Locked('frequent', { onBusy: 'skip', minHold: 20 })
    async frequent(): Promise<void> {
      ran.push('frequent');
    }

    @Cron(NIGHTLY, { name: 'without-minimum', ...AWAITED })
    @Locked('without-minimum', { onBusy: 'skip' })
    async withoutMinimum(): Promise<void> {
      ran.push('without-minimum');
    }

    @Cron(NIGHTLY, { name: 'throwing', ...AWAITED })
    @Locked('throwing', { wait: 0, minHold: '1m' })
    async throwing(): Promise<void> {
      ran.push('throwing');
    }
  }

  const threePods = async () => {
    const backend = memory();
    return [await pod(backend, Jobs), await pod(backend, Jobs), await pod(backend, Jobs)] as const;
  };

  it('runs on one of them at each tick, wherever @Locked stands', async () => {
    const pods = await threePods();
    await tick(pods);
    await tick(pods, 'above');
    expect(ran).toEqual(['nightly', 'above']);
  });

  it('runs once when the job is shorter than the clocks of the pods differ', async () => {
    const [first, second] = await threePods();
    await tick([first]);
    // The first one is done, and only `minHold` keeps the second, whose clock is behind, from doing it again.
    await tick([second]);
    expect(ran).toEqual(['nightly']);
    await tick([first], 'without-minimum');
    await tick([second], 'without-minimum');
    expect(ran).toEqual(['nightly', 'without-minimum', 'without-minimum']);
  });

  it('runs again at the next tick', async () => {
    const [first, second] = await threePods();
    await tick([first, second], 'frequent');
    // Waits until the minimum is over, as the lock server has it.
    await (await second.get(LockService).acquire('frequent')).release();
    await tick([first, second], 'frequent');
    expect(ran).toEqual(['frequent', 'frequent']);
  });

  it('logs nothing at error level for a tick that another pod has, and would without onBusy', async () => {
    const pods = await threePods();
    await tick(pods);
    expect(errors(pods)).toEqual([]);
    await tick(pods, 'throwing');
    expect(ran).toEqual(['nightly', 'throwing']);
    expect(errors(pods)).toHaveLength(2);
  });

  it('works for @Interval too', async () => {
    @Injectable()
    class Polling {
      @Interval(15)
      @Locked('poll', { onBusy: 'skip', minHold: 10 })
      async poll(): Promise<void> {
        ran.push('poll');
      }
    }

    const backend = memory();
    const pods = [await pod(backend, Polling), await pod(backend, Polling)];
    const skipped = pods.map((each) =>
      firstValueFrom(
        each.get(LockService).events$.pipe(
          filter(({ type }) => type === 'skipped'),
          take(1),
          toArray(),
        ),
      ),
    );
    await Promise.race(skipped);
    expect(ran).toContain('poll');
    expect(errors(pods)).toEqual([]);
  });
});

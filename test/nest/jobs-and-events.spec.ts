import { Injectable } from '@nestjs/common';
import { CommandBus, CommandHandler, CqrsModule, type ICommandHandler } from '@nestjs/cqrs';
import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { Cron, Interval, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { currentLock, Locked, LockService } from 'nestjs-distributed-lock';
import { describe, expect, test } from 'vitest';
import { type Application, applicationWith, isHeld, nextEvent } from './support/application.js';

/** Never by itself while a test runs. */
const ONCE_A_YEAR = '0 0 1 1 *';

describe('a locked @Cron job', () => {
  const ran: unknown[] = [];

  @Injectable()
  class Jobs {
    @Cron(ONCE_A_YEAR, { name: 'below' })
    @Locked('job', { onBusy: 'skip' })
    async below(): Promise<void> {
      ran.push(`below ${currentLock()?.key}`);
    }

    @Locked('job', { onBusy: 'skip' })
    @Cron(ONCE_A_YEAR, { name: 'above' })
    async above(): Promise<void> {
      ran.push(`above ${currentLock()?.key}`);
    }

    @Cron(ONCE_A_YEAR, { name: 'once' })
    @Locked('once', { onBusy: 'skip', minHold: '1h' })
    async once(): Promise<void> {
      ran.push('once');
    }

    @Interval('interval', 2 ** 30)
    @Locked('interval')
    async interval() {}
  }

  const start = async () => {
    ran.length = 0;
    return applicationWith({ imports: [ScheduleModule.forRoot()], providers: [Jobs] });
  };
  const tick = async ({ get }: Application, name: string) => get(SchedulerRegistry).getCronJob(name).fireOnTick();

  test.each(['below', 'above'])('is registered with @Locked %s @Cron, and runs under its lock', async (name) => {
    const application = await start();
    const released = nextEvent(application, 'released');
    await tick(application, name);
    await released;
    expect(ran).toEqual([`${name} job`]);
    expect(application.get(SchedulerRegistry).getIntervals()).toEqual(['interval']);
  });

  test('that is skipped logs nothing that alarms anybody', async () => {
    const application = await start();
    await application.get(LockService).acquire('job');
    const skipped = nextEvent(application, 'skipped');
    await tick(application, 'below');
    await skipped;
    expect(ran).toEqual([]);
    expect([...application.logger.texts('error'), ...application.logger.texts('warn')]).toEqual([]);
  });

  test('with minHold runs on one pod, also when it is over before the other pod ticks', async () => {
    const application = await start();
    const released = nextEvent(application, 'released');
    await tick(application, 'once');
    await released;
    expect(await isHeld(application, 'once')).toBe(true);
    const skipped = nextEvent(application, 'skipped');
    await tick(application, 'once');
    await skipped;
    expect(ran).toEqual(['once']);
  });
});

test('a locked @OnEvent handler runs under its lock, with either order of the decorators', async () => {
  @Injectable()
  class Listeners {
    readonly heard: unknown[] = [];
    @OnEvent('order.placed')
    @Locked('order:<id>')
    async below(id: string) {
      this.heard.push(`below ${currentLock()?.key} ${id}`);
    }
    @Locked('order:<id>')
    @OnEvent('order.shipped')
    async above(id: string) {
      this.heard.push(`above ${currentLock()?.key} ${id}`);
    }
  }
  const { get } = await applicationWith({ imports: [EventEmitterModule.forRoot()], providers: [Listeners] });
  await get(EventEmitter2).emitAsync('order.placed', '7');
  await get(EventEmitter2).emitAsync('order.shipped', '8');
  expect(get(Listeners).heard).toEqual(['below order:7 7', 'above order:8 8']);
});

test('a locked CQRS handler runs under its lock', async () => {
  class PlaceOrder {
    constructor(readonly id: string) {}
  }
  @CommandHandler(PlaceOrder)
  class PlaceOrderHandler implements ICommandHandler<PlaceOrder> {
    @Locked('order:<command.id>')
    async execute(command: PlaceOrder) {
      return `${currentLock()?.key} ${command.id}`;
    }
  }
  const { get } = await applicationWith({ imports: [CqrsModule.forRoot()], providers: [PlaceOrderHandler] });
  expect(await get(CommandBus).execute(new PlaceOrder('7'))).toBe('order:7 7');
});

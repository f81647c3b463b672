import { Injectable, Logger } from '@nestjs/common';
import { Cron, CronExpression } from '@nestjs/schedule';
import { currentLock, Locked } from 'nestjs-distributed-lock';

/** Longer than the clocks of the processes differ, shorter than the time between two ticks. */
const [EACH, MIN_HOLD] =
  process.env['EACH'] === 'second'
    ? [CronExpression.EVERY_SECOND, '800ms' as const]
    : [CronExpression.EVERY_MINUTE, '30s' as const];

@Injectable()
export class ReportsService {
  private readonly logger = new Logger(ReportsService.name);

  @Cron(EACH)
  @Locked('report', { onBusy: 'skip', minHold: MIN_HOLD })
  async send(): Promise<void> {
    this.logger.log(
      `Sent the report of ${new Date().toISOString().slice(0, 19)}, token ${currentLock()?.fencingToken}`,
    );
  }
}

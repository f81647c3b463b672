import { Injectable } from '@nestjs/common';
import { Etcd3 } from 'etcd3';
import { InjectLockService, type Lock, LockService } from 'nestjs-distributed-lock';
import { isOwner } from 'nestjs-distributed-lock/etcd';

@Injectable()
export class ReportService {
  constructor(
    @InjectLockService('strict') private readonly locks: LockService,
    private readonly etcd: Etcd3,
  ) {}

  /** @returns whether it was written; not by anybody who has lost the lock, however sure he is of it */
  close(compose: (lock: Lock) => Promise<string>): Promise<boolean> {
    return this.locks.withLock('report', async (lock) => {
      const report = await compose(lock);
      const { succeeded } = await this.etcd
        .if(...isOwner(lock))
        .then(this.etcd.put('report').value(report))
        .commit();
      return succeeded;
    });
  }
}

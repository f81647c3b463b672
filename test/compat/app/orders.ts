import { Injectable, Module } from '@nestjs/common';
import { DistributedLockModule, Locked, LockService, memory } from 'nestjs-distributed-lock';

@Injectable()
export class Orders {
  readonly log: string[] = [];

  constructor(private readonly locks: LockService) {}

  @Locked('order:<id>')
  async ship(id: string): Promise<string> {
    return this.work(id);
  }

  cancel(id: string): Promise<string> {
    return this.locks.withLock(`order:${id}`, () => this.work(id), { wait: '5s' });
  }

  private async work(id: string): Promise<string> {
    this.log.push('start');
    await new Promise((resolve) => setTimeout(resolve, 5));
    this.log.push('end');
    return id;
  }
}

@Module({ imports: [DistributedLockModule.forRoot({ backend: memory() })], providers: [Orders] })
export class AppModule {}

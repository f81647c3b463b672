import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { Locked } from 'nestjs-distributed-lock';

@Injectable()
export class OrdersService {
  @Locked('order:<id>', { wait: '500ms' })
  async pack(id: string, milliseconds: number): Promise<string> {
    await sleep(milliseconds);
    return `packed ${id}`;
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { ConflictException, Injectable } from '@nestjs/common';
import { Etcd3 } from 'etcd3';
import { Locked } from 'nestjs-distributed-lock';

@Injectable()
export class AccountsService {
  constructor(private readonly etcd: Etcd3) {}

  async balanceOf(account: string): Promise<number> {
    return (await this.etcd.get(`account:${account}`).number()) ?? 0;
  }

  async deposit(account: string, amount: number): Promise<void> {
    await this.etcd.put(`account:${account}`).value(amount);
  }

  /** Both accounts or none; two transfers in opposite directions do not wait for each other for ever. */
  @Locked(['account:<from>', 'account:<to>'], { backend: 'strict', wait: '30s' })
  async transfer(from: string, to: string, amount: number): Promise<void> {
    const [rich, poor] = [await this.balanceOf(from), await this.balanceOf(to)];
    if (rich < amount) throw new ConflictException(`${from} has only ${rich}`);
    await sleep(5); // somebody checks the signature
    await this.deposit(from, rich - amount);
    await this.deposit(to, poor + amount);
  }
}

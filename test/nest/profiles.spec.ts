import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { DistributedLockModule, Locked, LockService, memory } from 'nestjs-distributed-lock';
import { expect, test } from 'vitest';
import { applicationWith } from './support/application.js';

@Injectable()
class Orders {
  @Locked('order:<id>', { profile: 'quick' })
  async place(id: string) {
    return id;
  }
}

const MISSPELT: object = { timeout: 1 };
const profiles = { quick: { wait: '1ms' as string } };

test.each([
  ['forRoot', DistributedLockModule.forRoot({ backend: memory(), profiles, shutdownGrace: 0 })],
  [
    'forRootAsync',
    DistributedLockModule.forRootAsync({ useFactory: () => ({ backend: memory(), profiles, shutdownGrace: 0 }) }),
  ],
])('a profile applies where the lock says nothing (%s)', async (_name, imports) => {
  const { get } = await applicationWith({ imports: [imports], providers: [Orders] });
  await get(LockService).acquire('order:7');
  await expect(get(Orders).place('7')).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' });
  expect(await get(LockService).tryAcquire('order:8', { profile: 'quick' })).not.toBeNull();
});

test.each([
  ['an unknown profile', {}, 'There is no profile "quick" in the `profiles` of DistributedLockModule. Known: none.'],
  ['a duration that is none', { quick: { wait: 'soon' } }, '`wait` is "soon", which is not a duration.'],
  ['an option that is none', { quick: MISSPELT }, '`timeout` is not an option of the profile "quick".'],
])('%s is found at boot', async (_name, wrong, message) => {
  const boot = async () => {
    const module = await Test.createTestingModule({
      imports: [DistributedLockModule.forRoot({ backend: memory(), profiles: wrong, shutdownGrace: 0 })],
      providers: [Orders],
    }).compile();
    await module.init();
  };
  await expect(boot()).rejects.toThrow(message);
});

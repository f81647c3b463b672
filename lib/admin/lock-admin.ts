import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import type { ServerResponse } from 'node:http';
import type { Subscription } from 'rxjs';
import { LockConfigurationError } from '../lock/errors.js';
import { textOf } from '../lock/messages.js';
import { lockServicesOf, noBackend } from '../nest/service/application.js';
import type { LockService } from '../nest/service/lock.service.js';
import { frameOf, type View } from './frame.js';
import type { LockAdminSettings } from './lock-admin.options.js';
import type { ReleaseAnswer, ReleaseRequest } from './page/frame.js';
import { Sweeps } from './sweeps.js';
import { Viewers } from './viewers.js';
import { Waits } from './waits.js';

export const SETTINGS = Symbol('nestjs-distributed-lock:admin-settings');

/** Serves the page: one look at the locks for all viewers. */
@Injectable()
export class LockAdmin implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #viewers = new Viewers();
  readonly #now = (): number => performance.now();
  readonly #waits = new Waits(this.#now);
  readonly #logger = new Logger('LockAdminModule');
  readonly #services = new Map<string, LockService>();
  readonly #listening: Subscription[] = [];
  #sweeps: Sweeps | undefined;

  constructor(
    @Inject(SETTINGS) readonly settings: LockAdminSettings,
    @Inject(ModulesContainer) private readonly application: ModulesContainer,
  ) {}

  onApplicationBootstrap(): void {
    for (const service of this.#wanted()) {
      this.#services.set(service.backend, service);
      this.#listening.push(service.events$.subscribe((event) => this.#waits.note(event)));
    }
    this.#sweeps = new Sweeps([...this.#services.values()], this.#now, (backend, error) =>
      this.#logger.warn(`The locks of "${backend}" cannot be shown: ${textOf(error)}`),
    );
  }

  onModuleDestroy(): void {
    // The HTTP server waits for them.
    this.#viewers.close();
    for (const listening of this.#listening) listening.unsubscribe();
  }

  get open(): boolean {
    return this.#sweeps !== undefined && this.#viewers.open;
  }

  /** Streams what the view shows to a browser. */
  show(response: ServerResponse, view: View): void {
    this.#viewers.add(response, (show) => {
      const watching = this.#sweeps?.watch((sweep) =>
        show(() => frameOf(sweep, view, this.#waits.bars(), this.#now())),
      );
      return () => watching?.();
    });
  }

  /** Takes a lock from those holders, unless others hold it by now. `undefined`: there is no such backend. */
  async release({ backend, key, owners }: ReleaseRequest): Promise<ReleaseAnswer | undefined> {
    const service = this.#services.get(backend);
    if (!service) return undefined;
    const { held, holders } = await service.inspect(key);
    if (!held) return { outcome: 'free' };
    if (!holders.every(({ owner }) => owners.includes(owner))) return { outcome: 'changed' };
    const released = await service.forceRelease(key);
    this.#sweeps?.lookNow();
    const names = holders.map(({ owner }) => owner).join(', ');
    if (released)
      this.#logger.warn(`'${key}' on "${backend}" was released by force from the page. It was held by ${names}.`);
    return { outcome: released ? 'released' : 'free' };
  }

  /** @throws LockConfigurationError for a backend that there is not */
  #wanted(): readonly LockService[] {
    const services = lockServicesOf(this.application);
    if (services.size === 0) {
      throw new LockConfigurationError(
        'LockAdminModule shows the locks of DistributedLockModule, and this application does not import that. Import both in its root module.',
      );
    }
    const { backends } = this.settings;
    if (!backends) return [...new Set(services.values())];
    return backends.map((name) => {
      const service = services.get(name) ?? [...services.values()].find((each) => each.backend === name);
      if (service) return service;
      throw new LockConfigurationError(`\`backends\` of LockAdminModule: ${noBackend(name, services)}`, {
        backend: name,
      });
    });
  }
}

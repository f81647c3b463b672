import { type DynamicModule, type FactoryProvider, Module, type Provider } from '@nestjs/common';
import { checkOptionNames } from '../lock/option-names.js';
import { controllerAt } from './lock-admin.controller.js';
import {
  ASYNC_NAMES,
  checkGuards,
  type LockAdminModuleAsyncOptions,
  type LockAdminModuleOptions,
  NAMES,
  settingsOf,
} from './lock-admin.options.js';
import { LockAdmin, SETTINGS } from './lock-admin.js';

/**
 * A live page that shows who holds which lock and who waits, for operators. Import it beside `DistributedLockModule`.
 *
 * ```ts
 * LockAdminModule.forRoot({ path: 'ops/locks', guards: [AdminGuard], allowForceRelease: true })
 * ```
 */
@Module({})
export class LockAdminModule {
  /**
   * Options that are known when the module is imported.
   * What is wrong with them (`LockConfigurationError`) comes out of `NestFactory.create`.
   */
  static forRoot(options: LockAdminModuleOptions): DynamicModule {
    checkOptionNames('LockAdminModule', options, NAMES);
    const { path: _path, guards: _guards, unguarded: _unguarded, imports: _imports, ...behaviour } = options;
    return assemble(options, { provide: SETTINGS, useFactory: () => settingsOf(behaviour) });
  }

  /** What the page does comes from a factory; where it is and who may see it stands beside that. */
  static forRootAsync(options: LockAdminModuleAsyncOptions): DynamicModule {
    checkOptionNames('LockAdminModule.forRootAsync()', options, ASYNC_NAMES);
    // Nest calls it with what `inject` names.
    const make = options.useFactory as (...dependencies: unknown[]) => ReturnType<typeof options.useFactory>;
    const useFactory = async (...dependencies: unknown[]) => settingsOf(await make(...dependencies));
    const provider: FactoryProvider = { provide: SETTINGS, useFactory, inject: options.inject ?? [] };
    return assemble(options, provider);
  }
}

type Place = Pick<LockAdminModuleOptions, 'path' | 'guards' | 'unguarded' | 'imports'>;

function assemble(
  { path = 'locks', guards, unguarded = false, imports = [] }: Place,
  settings: Provider,
): DynamicModule {
  return {
    module: LockAdminModule,
    imports,
    // Checked as the application starts, so that merely loading a module decides nothing.
    providers: [settings, { provide: GUARDED, useFactory: () => checkGuards({ guards, unguarded }) }, LockAdmin],
    controllers: [controllerAt(path, Array.isArray(guards) ? guards : [])],
  };
}

const GUARDED = Symbol('nestjs-distributed-lock:admin-guarded');

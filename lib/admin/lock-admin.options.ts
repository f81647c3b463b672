import type { CanActivate, ModuleMetadata, Type } from '@nestjs/common';
import { LockConfigurationError } from '../lock/errors.js';
import { checkOptionNames } from '../lock/option-names.js';
import type { OptionsFactory } from '../nest/service/options-factory.js';

/** A guard of the page: an object, or a class that is made with the exports of `imports`. */
export type LockAdminGuard = Type<CanActivate> | CanActivate;

/** The behaviour of the page. It may come from a factory. */
export interface LockAdminBehaviour {
  /** Whether the page can take a lock away from its holder. @default false */
  readonly allowForceRelease?: boolean;
  /** The backends that are shown, by their names in the lock module. @default all */
  readonly backends?: readonly string[];
  /** Stands above the page and in the browser's tab, such as `'Locks of orders, staging'`. @default 'Locks' */
  readonly title?: string;
}

/** Has to be known before any factory runs, because Nest makes routes from it. */
interface Place extends Pick<ModuleMetadata, 'imports'> {
  /** Where the page is, below the global prefix of the application. @default 'locks' */
  readonly path?: string;
  /**
   * The guards decide who may see the page, which shows the keys of all locks and the hosts that hold them. They run for the page, for its
   * stream of changes and for a release. Give at least one that a browser can pass without a script, for instance by a cookie or by basic
   * authentication.
   */
  readonly guards: readonly LockAdminGuard[];
  /**
   * `true` says that something else keeps strangers away, such as a global guard or the network. Without it, an application with
   * `NODE_ENV=production` does not start when `guards` is empty.
   *
   * @default false
   */
  readonly unguarded?: boolean;
}

/** Options of `LockAdminModule.forRoot()`. */
export type LockAdminModuleOptions = Place & LockAdminBehaviour;

/** Options of `LockAdminModule.forRootAsync()`. */
export type LockAdminModuleAsyncOptions = Place & OptionsFactory<LockAdminBehaviour>;

/** With defaults filled in. */
export interface LockAdminSettings {
  readonly allowForceRelease: boolean;
  readonly backends: readonly string[] | undefined;
  readonly title: string;
}

const BEHAVIOUR = ['allowForceRelease', 'backends', 'title'] as const;
const PLACE = ['path', 'guards', 'unguarded', 'imports'] as const;

export const NAMES: ReadonlySet<string> = new Set([...PLACE, ...BEHAVIOUR]);
export const ASYNC_NAMES: ReadonlySet<string> = new Set([...PLACE, 'useFactory', 'inject']);
const BEHAVIOUR_NAMES: ReadonlySet<string> = new Set(BEHAVIOUR);

/** @throws LockConfigurationError when they are no options of the page */
export function settingsOf(behaviour: LockAdminBehaviour): LockAdminSettings {
  checkOptionNames('LockAdminModule', behaviour, BEHAVIOUR_NAMES);
  const { allowForceRelease = false, backends, title = 'Locks' } = behaviour;
  // A text such as 'false', from the environment, would be a yes.
  if (typeof allowForceRelease !== 'boolean') {
    throw new LockConfigurationError('`allowForceRelease` of LockAdminModule is `true` or `false`.');
  }
  return { allowForceRelease, backends, title };
}

/** @throws LockConfigurationError when nobody would be kept away, in production */
export function checkGuards({ guards, unguarded = false }: Pick<Place, 'guards' | 'unguarded'>): void {
  if (!Array.isArray(guards)) {
    throw new LockConfigurationError(
      '`guards` of LockAdminModule is missing. Give the guards of the page, such as `guards: [AdminGuard]`.',
    );
  }
  if (guards.length > 0 || unguarded || process.env['NODE_ENV'] !== 'production') return;
  throw new LockConfigurationError(
    'LockAdminModule has no guards, and with NODE_ENV=production everybody could see the page. Give it some, such as `guards: [AdminGuard]`, ' +
      'or say `unguarded: true` if something else keeps strangers away.',
  );
}

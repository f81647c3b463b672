import {
  type CallHandler,
  type ExecutionContext,
  Inject,
  mixin,
  type NestInterceptor,
  type Type,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { LockConfigurationError } from '../lock/errors.js';
import type { LockKey } from './key/lock-key.js';
import { watchHandlers } from './route/handler-watch.js';
import { noteRouteLock } from './route/noted-route-locks.js';
import { type LockInterceptorOptions, RouteLock } from './route/route-lock.js';

/**
 * Holds a lock around a handler. Use it when the key comes from the request, when the lock must last until the response is sent, or when
 * the handler's own interceptors belong inside the lock. Otherwise use `@Locked` on the method.
 *
 * The key is a template as for `@Locked`, or a function of the `ExecutionContext`. The names in a template are the handler's parameters or
 * the names in `@Param('id')` and the like. **Values are those of the raw request**: an interceptor runs before the pipes, so `/orders/007`
 * gives `007` here, while a `@Locked` method behind `ParseIntPipe` sees `7`.
 *
 * A client that disconnects leaves the line. Bind it to routes, not globally: gateways ignore global interceptors, and every other route
 * would pay for it.
 *
 * ```ts
 * const exportLock = LockInterceptor('export:<id>', { hold: 'response', wait: 0 });
 * class Files {@Get(':id/export')@UseInterceptors(exportLock) export(@Param('id') id: string): StreamableFile {}}
 * ```
 */
export function LockInterceptor(
  key: LockKey<[context: ExecutionContext]>,
  options: LockInterceptorOptions = {},
): Type<NestInterceptor> {
  const lock = new RouteLock(key, options);

  class LockInterceptorHost implements NestInterceptor {
    constructor(@Inject(ModulesContainer) private readonly application: ModulesContainer) {
      if (!(application instanceof Map)) {
        throw new LockConfigurationError(
          'LockInterceptor was made with `new`, so it does not know its application. Give Nest the class: ' +
            '@UseInterceptors(LockInterceptor(…)), or { provide: APP_INTERCEPTOR, useClass: LockInterceptor(…) } instead of useGlobalInterceptors().',
        );
      }
      watchHandlers(application, Interceptor);
    }

    intercept(context: ExecutionContext, next: CallHandler<unknown>) {
      return lock.intercept(this.application, context, next);
    }
  }

  const Interceptor: Type<NestInterceptor> = mixin(LockInterceptorHost);
  noteRouteLock(Interceptor, lock);
  return Interceptor;
}

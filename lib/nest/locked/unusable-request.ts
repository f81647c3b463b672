import { BadRequestException } from '@nestjs/common';

/**
 * A request whose values make no key. Says nothing of keys; those are in its cause. An `HttpException`, because Nest logs those at no
 * level.
 */
export function unusableRequest(cause: unknown): BadRequestException {
  return new BadRequestException('The request lacks a value that names the resource, or has one that cannot.', {
    cause,
  });
}

import { timingSafeEqual } from 'node:crypto';
import { type CanActivate, type ExecutionContext, Injectable, UnauthorizedException } from '@nestjs/common';

/** Lets those in who know `OPERATOR_PASSWORD`; without one, nobody. In a service of your own, look at the session of the user. */
@Injectable()
export class OperatorGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const http = context.switchToHttp();
    const { headers } = http.getRequest<{ headers: { authorization?: string } }>();
    const password = process.env['OPERATOR_PASSWORD'];
    const expected = Buffer.from(`Basic ${Buffer.from(`operator:${password}`).toString('base64')}`);
    const given = Buffer.from(headers.authorization ?? '');
    if (password && given.length === expected.length && timingSafeEqual(given, expected)) return true;
    http.getResponse<{ header(name: string, value: string): void }>().header('WWW-Authenticate', 'Basic realm="locks"');
    throw new UnauthorizedException();
  }
}

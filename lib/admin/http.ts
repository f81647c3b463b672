import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpServer } from '@nestjs/common';

/** An answer of Express or of Fastify, which has Node's own in `raw`. */
type AnyResponse = ServerResponse | { readonly raw: ServerResponse; hijack(): unknown };

/** A request of Express, which is Node's own, or of Fastify, which has that in `raw`. */
export type AnyRequest = IncomingMessage | { readonly raw: IncomingMessage };

/** Nobody else may answer through it from now on. */
export function takeOver(response: AnyResponse): ServerResponse {
  if (!('raw' in response)) return response;
  response.hijack();
  return response.raw;
}

export const rawOf = (request: AnyRequest): IncomingMessage => ('raw' in request ? request.raw : request);

/**
 * Answers by itself, so that an interceptor of the application that wraps every result in an object does not wrap a page.
 */
export function send(
  adapter: HttpServer,
  response: AnyResponse,
  { type, body, headers = {}, status = 200 }: Answer,
): void {
  for (const [name, value] of Object.entries({ ...SAFE, 'Content-Type': type, ...headers })) {
    // Every adapter has it; in the types of Nest 11 it is optional.
    adapter.setHeader?.(response, name, value);
  }
  adapter.reply(response, body, status);
}

export interface Answer {
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status?: number;
}

/** Whatever the application says elsewhere, here it is this. */
export const SAFE: Readonly<Record<string, string>> = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'X-Frame-Options': 'DENY',
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join('; '),
};

import {
  BadRequestException,
  Body,
  Controller,
  ForbiddenException,
  Get,
  HttpCode,
  Inject,
  NotFoundException,
  Post,
  Query,
  Req,
  Res,
  type Type,
  UseGuards,
  VERSION_NEUTRAL,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { ServerResponse } from 'node:http';
import { viewOf } from './frame.js';
import { type AnyRequest, rawOf, send, takeOver } from './http.js';
import { LockAdmin } from './lock-admin.js';
import type { LockAdminGuard } from './lock-admin.options.js';
import { assets } from './page/assets.js';
import { html } from './page/html.js';
import type { ReleaseRequest } from './page/frame.js';
import { isFromPage } from './same-origin.js';

/** The controller of one page, with its own path and guards. */
export function controllerAt(path: string, guards: readonly LockAdminGuard[]): Type {
  @UseGuards(...guards)
  @Controller({ path, version: VERSION_NEUTRAL })
  class LockAdminController extends LockAdminRoutes {}
  return LockAdminController;
}

/**
 * The page, its files and its stream are one path, told apart by the query: what the page refers to is then right behind whatever prefix,
 * proxy and trailing slash.
 */
abstract class LockAdminRoutes {
  constructor(
    @Inject(LockAdmin) private readonly admin: LockAdmin,
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
  ) {}

  @Get()
  get(@Query() query: Record<string, unknown>, @Res() response: ServerResponse): void {
    const { allowForceRelease, title } = this.admin.settings;
    const { httpAdapter } = this.host;
    if ('events' in query) {
      const full = 'Too many browsers watch the locks, or the application is shutting down.';
      if (this.admin.open) this.admin.show(takeOver(response), viewOf(query));
      else send(httpAdapter, response, { type: 'text/plain; charset=utf-8', body: full, status: 503 });
      return;
    }
    if ('file' in query) {
      const asset = assets.find(({ name }) => name === query['file']);
      if (!asset) throw new NotFoundException();
      // Its address changes with its content.
      const headers = { 'Cache-Control': 'private, max-age=604800, immutable' };
      send(httpAdapter, response, { type: asset.type, body: asset.body, headers });
      return;
    }
    send(httpAdapter, response, { type: 'text/html; charset=utf-8', body: html({ title, allowForceRelease }) });
  }

  @Post()
  @HttpCode(200)
  async release(@Body() body: unknown, @Req() request: AnyRequest, @Res() response: ServerResponse): Promise<void> {
    if (!this.admin.settings.allowForceRelease || !isFromPage(rawOf(request).headers)) throw new ForbiddenException();
    if (!isRelease(body)) throw new BadRequestException();
    const answer = await this.admin.release(body);
    if (!answer) throw new NotFoundException();
    send(this.host.httpAdapter, response, { type: 'application/json; charset=utf-8', body: JSON.stringify(answer) });
  }
}

function isRelease(body: unknown): body is ReleaseRequest {
  if (typeof body !== 'object' || body === null) return false;
  const { backend, key, owners } = body as Partial<Record<keyof ReleaseRequest, unknown>>;
  if (typeof backend !== 'string' || typeof key !== 'string' || !Array.isArray(owners)) return false;
  return owners.every((owner) => typeof owner === 'string');
}

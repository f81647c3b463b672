import { Controller, Get, Header } from '@nestjs/common';
import { register } from 'prom-client';

/** What a service that Prometheus scrapes has anyway. */
@Controller('metrics')
export class MetricsController {
  @Get()
  @Header('Content-Type', register.contentType)
  metrics(): Promise<string> {
    return register.metrics();
  }
}

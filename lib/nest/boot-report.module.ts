import { Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { BootReport } from './boot-report.js';

/** By itself, so that it is there once for an application with several `forRoot`. */
@Module({ imports: [DiscoveryModule], providers: [BootReport] })
export class BootReportModule {}

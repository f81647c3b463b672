import { Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { LeaderMethods } from './leader-methods.js';

/** By itself, so that it is there once for an application with several `forRoot`. */
@Module({ imports: [DiscoveryModule], providers: [LeaderMethods] })
export class LeaderModule {}

/** Starts the app, does two things at once to one order, and ends by itself when all is closed. */
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule, Orders } from './orders.js';

async function main(): Promise<void> {
  const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'warn'] });
  const orders = app.get(Orders);
  await Promise.all([orders.ship('1'), orders.cancel('1'), orders.ship('1')]);
  await app.close();
  const log = orders.log.join(' ');
  if (log !== 'start end start end start end') throw new Error(`Not one at a time: ${log}`);
  console.log('one at a time');
}

void main();

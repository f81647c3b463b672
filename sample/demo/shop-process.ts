import 'reflect-metadata';
import { openHere } from './shop.js';

const shop = await openHere();
process.on('message', (order) => {
  // A failure is an unhandled rejection, which ends this process with a code that tells.
  if (order === 'close') void shop.close().then(() => process.exit());
  else void shop.report().then((testimony) => process.send?.(testimony));
});
// The demo is gone, however it ended.
process.on('disconnect', () => process.exit());
process.send?.(shop.url);

/** Sentry for Nest, with a transport that sends nothing. */
const Sentry = require('@sentry/nestjs');

let handlers = 0;
Sentry.init({
  dsn: 'http://key@127.0.0.1:9/1',
  tracesSampleRate: 1,
  transport: () => ({ send: async () => ({}), flush: async () => true }),
});
Sentry.getClient().on('spanEnd', () => (handlers += 1));
globalThis.wrapped = () => handlers;

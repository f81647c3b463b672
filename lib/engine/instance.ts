import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';

/** Names an engine on the server: host and process for the people who look there, and a random part so that no two are alike. */
export const instanceName = (): string =>
  `${hostname()
    .replace(/[^\w.-]/g, '')
    .slice(0, 48)}-${process.pid}-${randomBytes(6).toString('base64url')}`;

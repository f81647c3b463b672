export { consul, type ConsulOptions } from './options.js';
export type { ConsulToken } from './client.js';
export type { ConsulTls } from './http.js';

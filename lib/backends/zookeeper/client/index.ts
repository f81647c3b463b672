export { type ClientOptions, patienceFor, type SessionState, ZooKeeperClient } from './client.js';
export type { Answer, Host, TlsOptions } from './connection.js';
export { is, ZooKeeperError } from './errors.js';
export { type Address, parseChroot, parseConnect } from './hosts.js';
export type { WatchListener } from './watches.js';

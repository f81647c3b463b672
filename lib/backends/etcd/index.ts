export { etcd, type EtcdOptions, type EtcdServers } from './options.js';
export { isOwner, type OwnershipComparison } from './ownership.js';
export type { EtcdClient } from './client.js';

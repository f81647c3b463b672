export { etcd, type EtcdClient, type EtcdOptions, type EtcdServers } from './options.js';
export { isOwner, type OwnershipComparison } from './ownership.js';

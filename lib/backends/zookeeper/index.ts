export { zookeeper, type ZooKeeperClientLike, type ZooKeeperOptions, type ZooKeeperServers } from './options.js';
export type { LayoutName } from './layout.js';

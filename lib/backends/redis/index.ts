export { redis, type RedisOptions } from './options.js';
export type { IoredisClient } from './ioredis.js';
export type { NodeRedisClient } from './node-redis.js';
export type { IoredisCluster } from './cluster-map.js';

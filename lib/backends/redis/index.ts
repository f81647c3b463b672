export { redis, type RedisOptions } from './options.js';
export type { IoredisClient } from './ioredis.js';

import { etcd, type EtcdOptions } from 'nestjs-distributed-lock/etcd';
import { redis, type RedisOptions } from 'nestjs-distributed-lock/redis';
import { LockConfigurationError } from 'nestjs-distributed-lock';
import { describe, expect, it } from 'vitest';

describe('redis()', () => {
  it.each<[string, unknown, RegExp]>([
    [
      'an address that is not set',
      { url: undefined },
      /^`url` of redis\(\) is undefined\. Give it a value, or leave it out/,
    ],
    ['an empty address', { url: '' }, /^`url` of redis\(\) is no address of a Redis server/],
    [
      'an address of something else',
      { url: 'http://user:secret@host' },
      /^`url` of redis\(\) is no address of a Redis server(?!.*secret)/,
    ],
    ['a host that is not set', { host: undefined, port: 6380 }, /^`host` of redis\(\) is undefined/],
    ['a client that is not set', { client: undefined }, /^`client` of redis\(\) is undefined/],
    ['a cluster without nodes', { cluster: [] }, /^`cluster` of redis\(\) is empty/],
    ['a misspelt option', { hsot: 'redis-1' }, /^`hsot` is not an option of redis\(\)\. Known: `url`, `host`/],
    ['an address in place of options', 'redis://host', /^The options of redis\(\) are an object; this is a string\.$/],
    ['half a replica', { waitReplicas: 0.5 }, /^`waitReplicas` is 0\.5; it is how many replicas/],
  ])('refuses %s before anything is asked', (_, options, message) => {
    expect(() => redis(options as RedisOptions)).toThrow(LockConfigurationError);
    expect(() => redis(options as RedisOptions)).toThrow(message);
  });

  it.each([
    'redis://host',
    'rediss://user:secret@host:6380/1',
    'host:6379',
    '/run/redis.sock',
    'unix:///run/redis.sock',
  ])('takes %s as an address', (url) => {
    expect(redis({ url }).kind).toBe('redis');
  });
});

describe('etcd()', () => {
  it.each<[string, unknown, RegExp]>([
    ['a list in one string', { hosts: 'etcd-1:2379,etcd-2:2379' }, /"etcd-1:2379,etcd-2:2379" is none/],
    ['a client that is null', { client: null }, /needs an etcd3 client/],
    ['a misspelt option', { host: 'etcd-1:2379' }, /^`host` is not an option of etcd\(\)\. Known: `hosts`, /],
    ['nothing', undefined, /^The options of etcd\(\) are an object; this is undefined\.$/],
    ['no time for a member', { hosts: 'etcd-1:2379', memberTimeout: 0 }, /^`memberTimeout` must be at least 1 ms\.$/],
  ])('refuses %s before anything is asked', (_, options, message) => {
    expect(() => etcd(options as EtcdOptions)).toThrow(LockConfigurationError);
    expect(() => etcd(options as EtcdOptions)).toThrow(message);
  });
});

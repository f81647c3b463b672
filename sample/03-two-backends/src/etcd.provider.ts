import { Etcd3 } from 'etcd3';

export const hosts = (process.env['ETCD_HOSTS'] ?? 'localhost:2379').split(',');

/** Where the money is. */
export const etcdProvider = { provide: Etcd3, useFactory: (): Etcd3 => new Etcd3({ hosts }) };

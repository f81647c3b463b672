import { Cluster } from '../line/cluster.js';
import type { Etcd } from './client.js';

/** The members of an etcd cluster. */
export type Members = Cluster<Etcd>;

/** Makes a client of one member that neither retries nor breaks a circuit. */
export type Connect = (host: string) => Promise<Etcd>;

/** How many requests are on their way to the cluster at once. */
export const AT_ONCE = 64;

/** gRPC's numbers for "this member could not do it"; anything else is the cluster's answer. */
const TROUBLE =
  /^(?!8 RESOURCE_EXHAUSTED: Received message larger)(?:1 CANCELLED|2 UNKNOWN|4 DEADLINE_EXCEEDED|8 RESOURCE_EXHAUSTED|10 ABORTED|13 INTERNAL|14 UNAVAILABLE)\b|^Channel /;

/** @param patience how long one member is waited for, in milliseconds */
export const membersOf = (hosts: readonly string[], connect: Connect, patience: number): Members =>
  new Cluster({
    hosts,
    patience,
    atOnce: AT_ONCE,
    connect,
    hangUp: (client) => client.close(),
    isTrouble: (error): error is Error => error instanceof Error && TROUBLE.test(error.message),
    isSilence: (error) => error instanceof Error && error.message.startsWith('4 DEADLINE_EXCEEDED'),
  });

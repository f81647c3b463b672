import type { Names } from './names.js';

/** The longest name of a key that is its own primary key, in bytes. A longer one is kept by its digest, and in full beside it. */
export const LONGEST_NAME = 512;
const NAME = `varbinary(${LONGEST_NAME})`;
const OWNER = 'varbinary(320)';

/**
 * Names and owners are bytes, so no collation makes two of them one. Times are microseconds since 1970 of the server's own clock: a
 * column of a date type would go by the session's time zone, and twice through the hour in which summer time ends.
 */
export const tables = (n: Names): readonly string[] => [
  `create table if not exists ${n.table('version')} (
  name varbinary(64) not null primary key,
  version int not null
) engine = InnoDB`,

  // owner and ends: the exclusive holder. size: the limit, while the key is a semaphore. shared: rows in the holders' table.
  // line: number of the latest arrival, while somebody waits. back: until when newcomers stand back.
  `create table if not exists ${n.table('lock')} (
  name ${NAME} not null primary key,
  owner ${OWNER},
  token bigint not null default 0,
  ends bigint not null default 0,
  since bigint not null default 0,
  size int,
  shared tinyint not null default 0,
  line bigint,
  back bigint not null default 0,
  whole_name mediumblob
) engine = InnoDB`,

  // Shared holders, and holders of permits.
  `create table if not exists ${n.table('holder')} (
  name ${NAME} not null,
  owner ${OWNER} not null,
  token bigint not null,
  ends bigint not null,
  since bigint not null,
  primary key (name, owner)
) engine = InnoDB`,

  // The line. deaf: has no inbox and asks again by itself. missed: was out of reach when its turn came.
  `create table if not exists ${n.table('waiter')} (
  name ${NAME} not null,
  arrival bigint not null,
  owner ${OWNER} not null,
  instance ${OWNER} not null,
  mode binary(1) not null,
  claim bigint not null,
  deadline bigint not null,
  since bigint not null,
  deaf tinyint not null,
  missed tinyint not null default 0,
  primary key (name, arrival),
  key whose (owner, name)
) engine = InnoDB`,

  // What a process is to be told: "g <owner> <token> <us>" granted, "l <owner>" look again, "x <owner>" taken away, "p <word>" a probe.
  `create table if not exists ${n.table('inbox')} (
  id bigint not null auto_increment primary key,
  instance ${OWNER} not null,
  message varbinary(512) not null,
  at bigint not null,
  key whose (instance, id)
) engine = InnoDB`,
];

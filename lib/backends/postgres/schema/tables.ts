import { sql } from './sql.js';

/**
 * All times are microseconds of the server's clock. No index has a column that a renewal or a release changes, so that these stay
 * updates within a page.
 *
 * `locks`: a row for each key. Whoever changes anything of a key locks its row first.
 * `holders`: those who share a lock, or have a permit. `locks.holders` counts them.
 * `waiters`: the line. `locks.line` counts them.
 * `boot`: one row, since when the server has lost nothing (`unbroken_v1`). It is unlogged on purpose: a crash or a failover, which forgets the last
 * asynchronous commits, empties it.
 */
export const tables = (schema: string): string => sql`
create table if not exists ${schema}.locks (
  key text collate "C" primary key,
  name text,                          -- the key itself, where it is too long for an index
  token bigint not null default 0,    -- the last fencing token: about when it was granted
  owner text,                         -- of an exclusive lock; with ~ at its end it has let go, and the key stays closed until "ends"
  inbox text,                         -- where its process is reached
  since bigint,                       -- when it was granted
  ends bigint not null default 0,
  firm bigint not null default 0,     -- until when a crash cannot have freed it: see release
  n integer,                          -- the limit, while it is a semaphore
  holders integer not null default 0,
  line integer not null default 0,
  arrivals bigint not null default 0, -- of the line so far
  head bigint not null default 0,     -- nobody in line arrived before this
  stand_back bigint not null default 0
) with (fillfactor = 50);

create table if not exists ${schema}.holders (
  key text collate "C",
  owner text,
  inbox text,
  token bigint not null,
  since bigint not null,
  ends bigint not null,
  primary key (key, owner)
) with (fillfactor = 70);

create table if not exists ${schema}.waiters (
  key text collate "C",
  arrival bigint,
  owner text not null,
  inbox text not null,
  mode text not null,                 -- x exclusive, s shared, p a permit
  n integer not null,
  claim bigint not null,              -- how long a grant lasts that is pushed
  since bigint not null,
  deadline bigint not null,           -- silent for longer, it is not served
  deaf boolean not null default false, -- asks by itself: its process has yet to open the connection that it listens on
  missed boolean not null default false,
  primary key (key, arrival),
  unique (key, owner)
) with (fillfactor = 70);

create unlogged table if not exists ${schema}.boot (
  one boolean primary key default true check (one),
  since bigint not null
);

create table if not exists ${schema}.version (
  version integer primary key,
  works_since integer not null        -- the oldest version of the package that can use this schema
);
`;

import { MOST_UNCONFIRMED } from '../../backend.js';
import type { Names } from './names.js';

/** A waiter is served only while it was heard of in this time; every look refreshes it. */
export const SILENCE_US = 15_000_000;
/** How soon a waiter near the head looks again: there is nothing to see but a lost message. */
export const NEAR_US = 1_000_000;
/** How soon a waiter at the head of the line or far behind looks again. */
export const FAR_US = 5_000_000;
/** Newcomers stand back when everybody in line was out of reach at the release: time to reconnect. */
const STAND_BACK_US = 250_000;
/** How far the next token is from the last: further than a process counts by itself. */
export const STEP = MOST_UNCONFIRMED + 1;
/**
 * The server's clock in microseconds. In a procedure it is read anew by each statement, so also after the row lock was waited for; in
 * UTC, because a time zone may go through an hour twice.
 */
export const CLOCK = `timestampdiff(microsecond, timestamp'1970-01-01 00:00:00', utc_timestamp(6))`;
export const NAME = 'varbinary(512)';
export const OWNER = 'varbinary(320)';
/** Whose pushes reach this owner: all before the last colon. */
export const instanceOf = (owner: string): string =>
  `left(${owner}, length(${owner}) - length(substring_index(${owner}, ':', -1)) - 1)`;
/** Held by the idle connection of a process that can be reached, for as long as it lives. */
export const livesAs = (instance: string): string => `concat('nestjs-lock:i:', sha1(${instance}))`;
/** Held by the connection of a process that sleeps in the server, so that it can be found and woken. */
export const sleepsAs = (instance: string): string => `concat('nestjs-lock:s:', sha1(${instance}))`;

/** A body that leaves no transaction open when something fails, whatever the connection is used for next. */
export const invoker = `sql security invoker
modifies sql data`;
export const UNDO = `declare exit handler for sqlexception begin rollback; resignal; end;`;
/** What a single statement did, in a session that does not commit by itself. */
export const COMMIT_ALONE = `if @@autocommit = 0 then commit; end if;`;

/** A list of texts in one argument: each as its length in bytes, in six digits, and its bytes. Reads the next one at `p` into `into`. */
export const next = (list: string, into: string): string =>
  `set ${into} = substring(${list}, p + 6, substring(${list}, p, 6)), p = p + 6 + substring(${list}, p, 6);`;

/** What the verbs are made of. They tell each other of a lock by its row, which the caller has locked. */
export const state = (n: Names): readonly string[] => [
  // Locks the row of a key, says whether there is one, and forgets what has expired. The silent waiters at the head of a key that
  // nobody holds are forgotten as well: they must not keep out who asks for several keys or for another kind of lock.
  // Read committed, for under anything more the gaps between rows are locked as well, and strangers wait for each other in a circle.
  `create procedure ${n.routine('enter')}(k ${NAME}, me ${OWNER}, out us bigint, out there tinyint)
${invoker}
begin
  declare v_owner ${OWNER};
  declare v_ends, v_line, v_head bigint;
  declare v_shared tinyint;
  declare continue handler for not found set there = 0;
  set there = 1;
  commit;
  set transaction isolation level read committed;
  start transaction;
  select owner, ends, shared, line into v_owner, v_ends, v_shared, v_line from ${n.table('lock')} where name = k for update;
  set us = ${CLOCK};
  if there then
    if v_owner is not null and v_ends <= us then
      update ${n.table('lock')} set owner = null where name = k;
      set v_owner = null;
    end if;
    if v_shared then
      delete from ${n.table('holder')} where name = k and ends <= us;
      if not exists (select 1 from ${n.table('holder')} where name = k) then
        update ${n.table('lock')} set shared = 0 where name = k;
        set v_shared = 0;
      end if;
    end if;
    if v_line is not null and v_owner is null and v_shared = 0 then
      heads: loop
        set v_head = (select min(arrival) from ${n.table('waiter')} where name = k);
        if v_head is null then
          update ${n.table('lock')} set line = null where name = k;
          leave heads;
        end if;
        delete from ${n.table('waiter')} where name = k and arrival = v_head and deadline <= us and not owner <=> me;
        if row_count() = 0 then leave heads; end if;
      end loop;
    end if;
  end if;
end`,

  // Makes the owner a holder. The token grows also over a lost row or another server, as long as their clocks do.
  `create procedure ${n.routine('take')}(k ${NAME}, me ${OWNER}, v_mode binary(1), v_limit int, ttl bigint, us bigint, at_least bigint, out v_token bigint)
${invoker}
begin
  set v_token = (select greatest(token + ${STEP}, us, at_least) from ${n.table('lock')} where name = k);
  if v_mode = 'x' then
    update ${n.table('lock')} set token = v_token, owner = me, ends = us + ttl, since = us, size = null where name = k;
  else
    insert into ${n.table('holder')} (name, owner, token, ends, since) values (k, me, v_token, us + ttl, us);
    update ${n.table('lock')} set token = v_token, owner = null, shared = 1, size = if(v_mode = 'p', v_limit, null) where name = k;
  end if;
end`,

  // Until when somebody who has only just come stands back for those ahead, who were out of reach: if that is new, they may be
  // reconnecting, all of them, and whoever let go would otherwise take the lock again at once, and again. Dead ones cost this once.
  `create procedure ${n.routine('stand_back')}(k ${NAME}, before_arrival bigint, us bigint, out till bigint)
${invoker}
begin
  set till = (select back from ${n.table('lock')} where name = k);
  if till <= us then
    set till = null;
    update ${n.table('waiter')} set missed = 1 where name = k and arrival < before_arrival and missed = 0;
    if row_count() > 0 then
      set till = us + ${STAND_BACK_US};
      update ${n.table('lock')} set back = till where name = k;
    end if;
  end if;
end`,

  // Leaves a message to the owner's process, which is woken for it when the caller has committed. Says whether it can be reached.
  `create procedure ${n.routine('post')}(v_instance ${OWNER}, v_message varbinary(512), us bigint, inout wake varbinary(8000), out heard tinyint)
${invoker}
begin
  declare v_sleeper bigint;
  set heard = is_used_lock(${livesAs('v_instance')}) is not null;
  if heard then
    insert into ${n.table('inbox')} (instance, message, at) values (v_instance, v_message, us);
    set v_sleeper = is_used_lock(${sleepsAs('v_instance')});
    if v_sleeper is not null and not find_in_set(v_sleeper, wake) then set wake = concat(wake, v_sleeper, ','); end if;
  end if;
end`,

  // Wakes the connections of this list. One that is not asleep right now reads before it sleeps; one that is gone, or belongs to another
  // user of the server whom we may not wake, looks by itself.
  `create procedure ${n.routine('wake')}(wake varbinary(8000))
${invoker}
begin
  declare v_id bigint;
  declare continue handler for 1094, 1095 begin end;
  while wake <> '' do
    set v_id = substring_index(wake, ',', 1);
    set wake = substring(wake, length(substring_index(wake, ',', 1)) + 2);
    kill query v_id;
  end while;
end`,

  // Hands the lock to whoever is first in line and can be reached, and on while more fit. An unreachable waiter keeps its place
  // and is passed over: it may be reconnecting, with everybody else of its process. Out: the token if 'me' was served, until when 'me' has
  // to stand back, and whether somebody who is there still waits in front.
  `create procedure ${n.routine('serve')}(
  k ${NAME}, me ${OWNER}, ttl bigint, newcomer tinyint, us bigint,
  out my_token bigint, out till bigint, out blocked tinyint, inout wake varbinary(8000))
${invoker}
begin
  declare v_owner, v_next, v_instance ${OWNER};
  declare v_arrival, v_claim, v_deadline, v_token, v_new bigint;
  declare v_shared, v_deaf, v_heard, v_none tinyint;
  declare v_size int;
  declare v_mode binary(1);
  declare v_silent mediumblob default '';
  declare continue handler for not found set v_none = 1;
  set my_token = null, till = null, blocked = 1;
  serving: loop
    select owner, shared, size, token into v_owner, v_shared, v_size, v_token from ${n.table('lock')} where name = k;
    if v_owner is not null then leave serving; end if;
    set v_none = 0;
    if v_silent = '' then
      select arrival, owner, instance, mode, claim, deadline, deaf into v_arrival, v_next, v_instance, v_mode, v_claim, v_deadline, v_deaf
        from ${n.table('waiter')} where name = k order by arrival limit 1;
    else
      select arrival, owner, instance, mode, claim, deadline, deaf into v_arrival, v_next, v_instance, v_mode, v_claim, v_deadline, v_deaf
        from ${n.table('waiter')} where name = k and (owner = me or not find_in_set(instance, v_silent)) order by arrival limit 1;
    end if;
    if v_none then
      if v_silent = '' then update ${n.table('lock')} set line = null where name = k; end if;
      set blocked = 0;
      leave serving;
    end if;
    if v_deadline <= us and not v_next <=> me then
      delete from ${n.table('waiter')} where name = k and arrival = v_arrival;
    elseif (v_mode = 'x' and v_shared)
        or (v_mode = 'p' and v_shared and (select count(*) from ${n.table('holder')} where name = k) >= v_size) then
      leave serving;
    elseif v_next <=> me then
      if newcomer and v_silent <> '' then
        call ${n.routine('stand_back')}(k, v_arrival, us, till);
        if till is not null then leave serving; end if;
      end if;
      delete from ${n.table('waiter')} where name = k and arrival = v_arrival;
      call ${n.routine('take')}(k, me, v_mode, v_size, ttl, us, 0, my_token);
    else
      set v_new = greatest(v_token + ${STEP}, us), v_heard = 1;
      if not v_deaf then
        call ${n.routine('post')}(v_instance, concat('g ', v_next, ' ', v_new, ' ', us), us, wake, v_heard);
      end if;
      if v_heard then
        delete from ${n.table('waiter')} where name = k and arrival = v_arrival;
        call ${n.routine('take')}(k, v_next, v_mode, v_size, v_claim, us, 0, v_new);
      else
        set v_silent = concat(v_silent, if(v_silent = '', '', ','), v_instance);
      end if;
    end if;
  end loop;
end`,
];

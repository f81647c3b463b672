import type { Names } from './names.js';
import {
  CLOCK,
  COMMIT_ALONE,
  FAR_US,
  instanceOf,
  invoker,
  NAME,
  NEAR_US,
  OWNER,
  SILENCE_US,
  STEP,
  UNDO,
} from './state.js';

/** An arrival that everybody in line is ahead of. */
const FAR_BEHIND = '9223372036854775807';

/**
 * What a verb answers is one text, so that no option of the client changes how it is read. Times are in milliseconds of lease going
 * in, and in microseconds of the server's clock coming out.
 */
export const attempt = (n: Names): readonly string[] => [
  // joins: 0 not at all, 1 with an inbox, 2 without one. v_whole: the key's name in full, where k is only its digest.
  // Answer: '1 <token> [<us>]' granted, '0 <look again in us> <us> <rank in line> <holder> <ahead>' busy, '-1 <limit in force>' conflict
  `create procedure ${n.routine('attempt')}(
  k ${NAME}, me ${OWNER}, v_mode binary(1), v_limit int, ttl bigint, claim bigint, joins tinyint, v_whole mediumblob)
${invoker}
main: begin
  declare us, won, v_ends, v_line, v_token, v_arrival, till, look bigint;
  declare there, newcomer, blocked, v_rank, v_shared, v_fits tinyint default 0;
  declare v_size, wanted int;
  declare v_owner, v_holder, v_ahead ${OWNER};
  declare wake varbinary(8000) default '';
  ${UNDO}
  set us = ${CLOCK}, ttl = ttl * 1000, claim = claim * 1000;
  -- The free case: the same as what follows comes to, in one statement.
  if v_mode = 'x' then
    update ${n.table('lock')} set token = last_insert_id(greatest(token + ${STEP}, us)), owner = me, ends = us + ttl, since = us
      where name = k and owner is null and line is null and shared = 0 and size is null;
    set won = row_count();
    ${COMMIT_ALONE}
    if won = 1 then
      select concat('1 ', last_insert_id()) as answer;
      leave main;
    end if;
    if not exists (select 1 from ${n.table('lock')} where name = k) then
      insert ignore into ${n.table('lock')} (name, owner, token, ends, since, whole_name) values (k, me, us, us + ttl, us, v_whole);
      set won = row_count();
      ${COMMIT_ALONE}
      if won = 1 then
        select concat('1 ', us) as answer;
        leave main;
      end if;
    end if;
  end if;
  entering: loop
    call ${n.routine('enter')}(k, me, us, there);
    if there then leave entering; end if;
    rollback;
    insert ignore into ${n.table('lock')} (name, whole_name) values (k, v_whole);
    ${COMMIT_ALONE}
  end loop;
  select owner, ends, token, size, shared, line into v_owner, v_ends, v_token, v_size, v_shared, v_line
    from ${n.table('lock')} where name = k;
  -- The answer to an earlier sending was lost, or a pushed grant was: it is ours, and the lease counts from this sending.
  if v_owner = me then
    update ${n.table('lock')} set ends = greatest(ends, us + ttl) where name = k;
    set won = v_token;
  elseif v_shared then
    set won = (select token from ${n.table('holder')} where name = k and owner = me);
    if won is not null then
      update ${n.table('holder')} set ends = greatest(ends, us + ttl) where name = k and owner = me;
    end if;
  else
    set won = null;
  end if;
  if won is not null and (v_owner = me or v_shared) then
    commit;
    select concat('1 ', won, ' ', us) as answer;
    leave main;
  end if;
  set won = null;
  set wanted = if(v_mode = 'p', v_limit, null);
  if (v_owner is not null or v_shared or v_line is not null) and not v_size <=> wanted then
    commit;
    select concat('-1 ', ifnull(v_size, 1)) as answer;
    leave main;
  end if;
  set v_fits = v_owner is null and (v_mode = 's' or not v_shared
    or (v_mode = 'p' and (select count(*) from ${n.table('holder')} where name = k) < v_limit));
  if v_line is null then
    if v_fits then
      call ${n.routine('take')}(k, me, v_mode, v_limit, ttl, us, 0, won);
    end if;
    set blocked = 1;
  end if;
  if won is null and joins then
    set v_arrival = (select min(arrival) from ${n.table('waiter')} where owner = me and name = k);
    if v_arrival is null then
      set v_line = 1 + greatest(ifnull(v_line, 0), ifnull((select max(arrival) from ${n.table('waiter')} where name = k), 0)),
        newcomer = 1, v_arrival = v_line;
      insert into ${n.table('waiter')} (name, arrival, owner, instance, mode, claim, deadline, since, deaf)
        values (k, v_arrival, me, ${instanceOf('me')}, v_mode, claim, us + ${SILENCE_US}, us, joins = 2);
      update ${n.table('lock')} set line = v_line where name = k;
    else
      update ${n.table('waiter')} set mode = v_mode, claim = claim, deadline = us + ${SILENCE_US}, deaf = (joins = 2), missed = 0
        where name = k and arrival = v_arrival;
    end if;
  end if;
  if won is null and v_line is not null and v_owner is null then
    call ${n.routine('serve')}(k, if(joins, me, null), ttl, newcomer, us, won, till, blocked, wake);
    select owner, ends, shared, line into v_owner, v_ends, v_shared, v_line from ${n.table('lock')} where name = k;
    set v_fits = v_owner is null and (v_mode = 's' or not v_shared
      or (v_mode = 'p' and (select count(*) from ${n.table('holder')} where name = k) < v_limit));
    if won is null and not joins and not blocked and v_fits then
      -- Everybody in line is out of reach, and maybe the caller has a place there as well.
      delete from ${n.table('waiter')} where owner = me and name = k;
      if row_count() = 0 and v_line is not null then
        call ${n.routine('stand_back')}(k, ${FAR_BEHIND}, us, till);
      end if;
      if till is null then
        call ${n.routine('take')}(k, me, v_mode, v_limit, ttl, us, 0, won);
      end if;
    end if;
  end if;
  if won is not null then
    commit;
    call ${n.routine('wake')}(wake);
    select concat('1 ', won, ' ', us) as answer;
    leave main;
  end if;
  set look = ${NEAR_US}, v_holder = '', v_ahead = '', v_rank = -1;
  if v_owner is not null then
    set look = v_ends - us, v_holder = v_owner;
  elseif v_shared then
    select owner, ends - us into v_holder, look from ${n.table('holder')} where name = k order by ends limit 1;
  end if;
  if till is not null then set look = till - us; end if;
  if joins then
    set v_rank = (select count(*) from (select 1 from ${n.table('waiter')} where name = k and arrival < v_arrival limit 5) as before_me);
    set v_ahead = ifnull((select owner from ${n.table('waiter')} where name = k and arrival < v_arrival order by arrival desc limit 1), v_holder);
  end if;
  set look = least(look, if(v_rank = 0 or v_rank > 3, ${FAR_US}, ${NEAR_US}));
  commit;
  call ${n.routine('wake')}(wake);
  select concat('0 ', look, ' ', us, ' ', v_rank, ' ', v_holder, ' ', v_ahead) as answer;
end`,
];

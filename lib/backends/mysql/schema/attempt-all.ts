import type { Names } from './names.js';
import { CLOCK, invoker, NAME, NEAR_US, next, OWNER, STEP, UNDO } from './state.js';

/** Reads the next key of the list into the variables that are declared for it. */
const entry = (indent: string): string =>
  ['k', 'me', 'v_mode', 'v_limit', 'ttl', 'v_whole'].map((into) => indent + next('list', into)).join('\n');

export const attemptAll = (n: Names): readonly string[] => [
  // All or none of several locks, without joining a line. One token for all, above each one's last.
  // A key that was taken in one step before is granted once more. The list: for each key its name, owner, mode, limit, ttl and whole name.
  // Answer: '1 <us> <token>…', or as of an attempt
  `create procedure ${n.routine('attempt_all')}(list longblob)
${invoker}
main: begin
  declare us, highest, v_token, v_ends, v_line, ttl, look bigint;
  declare p, v_limit, v_size, wanted int;
  declare there, v_shared, v_held, pass tinyint;
  declare v_owner, me, v_holder ${OWNER};
  declare k ${NAME};
  declare v_mode binary(1);
  declare v_whole mediumblob;
  declare answer longblob;
  declare continue handler for not found set there = 0;
  ${UNDO}
  -- The rows that are missing first, each by itself: whoever makes one while it keeps others locked can be in a circle.
  set p = 1;
  while p <= length(list) do
${entry('    ')}
    if not exists (select 1 from ${n.table('lock')} where name = k) then
      insert ignore into ${n.table('lock')} (name, whole_name) values (k, if(v_whole = '', null, v_whole));
    end if;
  end while;
  commit;
  set transaction isolation level read committed;
  start transaction;
  set pass = 1, highest = 0, answer = '';
  passes: while pass <= 3 do
    -- First all rows are locked, in the order of the list, which is everybody's; then all are looked at; then all are taken.
    if pass = 2 then set us = ${CLOCK}, highest = us, answer = concat('1 ', us); end if;
    set p = 1;
    while p <= length(list) do
${entry('      ')}
      if pass = 1 then
        set there = 1;
        select 1 into there from ${n.table('lock')} where name = k for update;
        if not there then
          rollback;
          select concat('0 0 ', ${CLOCK}, ' -1  ') as answer;
          leave main;
        end if;
      else
        select if(ends > us, owner, null), ends, token, size, line, shared and exists (select 1 from ${n.table('holder')} h where h.name = k and h.ends > us)
          into v_owner, v_ends, v_token, v_size, v_line, v_shared from ${n.table('lock')} where name = k;
        set v_held = ifnull(v_owner = me, 0)
          or (v_shared and exists (select 1 from ${n.table('holder')} where name = k and owner = me and ends > us));
        set wanted = if(v_mode = 'p', v_limit, null);
        if pass = 2 and not v_held then
          if v_line is not null and v_owner is null and not v_shared
              and not exists (select 1 from ${n.table('waiter')} where name = k and deadline > us) then
            set v_line = null;
          end if;
          if (v_owner is not null or v_shared or v_line is not null) and not v_size <=> wanted then
            rollback;
            select concat('-1 ', ifnull(v_size, 1)) as answer;
            leave main;
          end if;
          if v_line is not null or v_owner is not null or (v_shared and (v_mode = 'x' or (v_mode = 'p'
              and (select count(*) from ${n.table('holder')} where name = k and ends > us) >= v_limit))) then
            set look = ${NEAR_US}, v_holder = '';
            if v_owner is not null then
              set look = v_ends - us, v_holder = v_owner;
            elseif v_shared then
              select owner, ends - us into v_holder, look from ${n.table('holder')} where name = k and ends > us order by ends limit 1;
            end if;
            rollback;
            select concat('0 ', least(look, ${NEAR_US}), ' ', us, ' -1 ', v_holder, ' ') as answer;
            leave main;
          end if;
        end if;
        set highest = greatest(highest, v_token + ${STEP});
        if pass = 3 then
          if v_held then
            if v_owner = me then
              update ${n.table('lock')} set ends = greatest(ends, us + ttl * 1000) where name = k;
            else
              set v_token = (select token from ${n.table('holder')} where name = k and owner = me);
              update ${n.table('holder')} set ends = greatest(ends, us + ttl * 1000) where name = k and owner = me;
            end if;
            set answer = concat(answer, ' ', v_token);
          else
            delete from ${n.table('holder')} where name = k and ends <= us;
            update ${n.table('lock')} set owner = null, shared = v_shared where name = k;
            call ${n.routine('take')}(k, me, v_mode, v_limit, ttl * 1000, us, highest, v_token);
            set answer = concat(answer, ' ', v_token);
          end if;
        end if;
      end if;
    end while;
    set pass = pass + 1;
  end while;
  commit;
  select answer;
end`,
];

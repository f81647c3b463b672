import type { Names } from './names.js';
import { CLOCK, invoker, livesAs, NAME, OWNER, sleepsAs, UNDO } from './state.js';

/** A message that nobody has taken for so long never will be: its process is gone. */
const STALE_US = 60_000_000;

export const inbox = (n: Names): readonly string[] => [
  // Sleeps until there are messages for the process, or so long, and answers with all there are. What was taken goes first: the ids of
  // the last answer, with commas between. It looks before it sleeps, for a wake-up that came earlier has gone by.
  // One that comes in between ends this call with an error, after which the next one looks.
  `create procedure ${n.routine('listen')}(v_instance ${OWNER}, taken longblob, seconds int)
${invoker}
begin
  while taken <> '' do
    delete from ${n.table('inbox')} where id = cast(substring_index(taken, ',', 1) as unsigned);
    set taken = substring(taken, length(substring_index(taken, ',', 1)) + 2);
  end while;
  if not exists (select 1 from ${n.table('inbox')} where instance = v_instance) then
    -- Not by sleep(): all who sleep share one mutex, and a KILL that meets another there spins on it for two seconds. The idle
    -- connection of the process has this lock, so this one waits for it in vain.
    do get_lock(${livesAs('v_instance')}, seconds);
  end if;
  select id, message from ${n.table('inbox')} where instance = v_instance order by id limit 1000;
end`,

  // Sends the process a message of its own, as a release does. Answer: whether it can be reached
  `create procedure ${n.routine('probe')}(v_instance ${OWNER}, word varbinary(64))
${invoker}
begin
  declare heard tinyint;
  declare wake varbinary(8000) default '';
  ${UNDO}
  start transaction;
  call ${n.routine('post')}(v_instance, concat('p ', word), ${CLOCK}, wake, heard);
  commit;
  call ${n.routine('wake')}(wake);
  select heard as answer;
end`,

  // Clears away what nobody comes back for, at most so many keys from a name on. Answer: the name to go on from in hexadecimal, '' at the end
  `create procedure ${n.routine('sweep')}(from_name ${NAME}, keep_ms bigint, how_many int)
${invoker}
begin
  declare us, before_us bigint;
  declare there, v_none tinyint default 0;
  declare k, till ${NAME};
  declare abandoned cursor for select name from ${n.table('lock')}
    where name > from_name and name <= till and ends < before_us and token < before_us
      and (owner is not null or shared or line is not null);
  declare continue handler for not found set v_none = 1;
  ${UNDO}
  set us = ${CLOCK}, before_us = us - keep_ms * 1000;
  commit;
  set transaction isolation level read committed;
  delete from ${n.table('inbox')} where at < us - ${STALE_US} order by id limit 1000;
  commit;
  set till = (select max(name) from (select name from ${n.table('lock')} where name > from_name order by name limit how_many) as some_names);
  if till is not null then
    set v_none = 0;
    open abandoned;
    tidying: loop
      fetch abandoned into k;
      if v_none then leave tidying; end if;
      call ${n.routine('enter')}(k, null, us, there);
      commit;
    end loop;
    close abandoned;
    set transaction isolation level read committed;
    delete from ${n.table('lock')} where name > from_name and name <= till and ends < before_us and token < before_us
      and owner is null and not shared and line is null;
    commit;
  end if;
  select ifnull(hex(till), '') as answer;
end`,
];

/** How a connection of ours is known on the server: by this name, for as long as it lives. */
export const nameOf = { alive: livesAs, asleep: sleepsAs };

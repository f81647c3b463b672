import type { Names } from './names.js';
import { COMMIT_ALONE, instanceOf, invoker, NAME, next, OWNER, UNDO } from './state.js';

/** Takes the owners of a list, and `me`, out of the line; `theirs` says whether one of them holds the key. */
const leave = (n: Names): string => `set p = 1, theirs = v_owner <=> me;
  delete from ${n.table('waiter')} where owner = me and name = k;
  while p <= length(others) do
    ${next('others', 'one')}
    if v_owner <=> one then set theirs = 1; end if;
    if v_first <=> one then set first_is_theirs = 1; end if;
    delete from ${n.table('waiter')} where owner = one and name = k;
  end while;`;

export const release = (n: Names): readonly string[] => [
  // closed: how long to keep the key closed for nobody, in ms. others: a list of those it took the key over from.
  // Answer: whether it was held
  `create procedure ${n.routine('release')}(k ${NAME}, me ${OWNER}, closed bigint, others blob)
${invoker}
main: begin
  declare us, v_line, v_token, ignored, head, p bigint;
  declare there, v_shared, held, theirs, first_is_theirs, blocked, heard tinyint default 0;
  declare v_owner, v_first, one ${OWNER};
  declare wake varbinary(8000) default '';
  ${UNDO}
  -- The quiet case: nobody waits. That it was held is also said of a lease that has ended: whoever takes the lock after it takes these
  -- fields, so until now nobody else was in.
  if closed = 0 and others = '' then
    update ${n.table('lock')} set owner = null where name = k and owner = me and line is null;
    set held = row_count();
    ${COMMIT_ALONE}
    if held then
      select 1 as answer;
      leave main;
    end if;
  end if;
  call ${n.routine('enter')}(k, me, us, there);
  if not there then
    rollback;
    select 0 as answer;
    leave main;
  end if;
  select owner, token, shared, line into v_owner, v_token, v_shared, v_line from ${n.table('lock')} where name = k;
  if v_line is not null then
    ${leave(n)}
  else
    set theirs = v_owner <=> me, p = 1;
    while p <= length(others) do
      ${next('others', 'one')}
      if v_owner <=> one then set theirs = 1; end if;
    end while;
  end if;
  if theirs then
    set held = 1;
    if closed > 0 then
      -- Nobody's, until then: renewals and releases of the old owner no longer match.
      update ${n.table('lock')} set owner = concat(me, '~'), ends = us + closed * 1000 where name = k;
    else
      update ${n.table('lock')} set owner = null where name = k;
    end if;
  elseif v_shared then
    set v_token = (select token from ${n.table('holder')} where name = k and owner = me);
    if v_token is not null then
      set held = 1;
      delete from ${n.table('holder')} where name = k and owner = me;
      if closed > 0 then
        insert into ${n.table('holder')} (name, owner, token, ends, since) values (k, concat(me, '~'), v_token, us + closed * 1000, us);
      elseif not exists (select 1 from ${n.table('holder')} where name = k) then
        update ${n.table('lock')} set shared = 0 where name = k;
      end if;
    end if;
  end if;
  if v_line is not null then
    call ${n.routine('serve')}(k, null, 0, 0, us, ignored, ignored, blocked, wake);
    if held and closed > 0 then
      -- Its end moved, so the head looks anew.
      set head = (select min(arrival) from ${n.table('waiter')} where name = k);
      if head is not null then
        set one = (select owner from ${n.table('waiter')} where name = k and arrival = head);
        call ${n.routine('post')}(${instanceOf('one')}, concat('l ', one), us, wake, heard);
      end if;
    end if;
  end if;
  commit;
  call ${n.routine('wake')}(wake);
  select held as answer;
end`,

  // A key goes from one owner to another of the same process, which is in force there already: nothing is decided here.
  // Answer: 1, 2 when others in line were overtaken, 0 when the key was none of theirs
  `create procedure ${n.routine('take_over')}(k ${NAME}, me ${OWNER}, ttl bigint, v_token bigint, others blob)
${invoker}
main: begin
  declare us, v_line, ignored, p bigint;
  declare there, theirs, first_is_theirs, blocked tinyint default 0;
  declare v_owner, v_first, one ${OWNER};
  declare wake varbinary(8000) default '';
  ${UNDO}
  call ${n.routine('enter')}(k, me, us, there);
  if not there then
    rollback;
    select 0 as answer;
    leave main;
  end if;
  select owner, line into v_owner, v_line from ${n.table('lock')} where name = k;
  set v_first = (select owner from ${n.table('waiter')} where name = k order by arrival limit 1);
  set first_is_theirs = v_first is null or v_first = me;
  ${leave(n)}
  if theirs then
    update ${n.table('lock')} set owner = me, token = greatest(token, v_token), ends = greatest(ends, us + ttl * 1000), since = us
      where name = k;
    set first_is_theirs = first_is_theirs or v_owner = me;
  elseif v_line is not null then
    call ${n.routine('serve')}(k, null, 0, 0, us, ignored, ignored, blocked, wake);
  end if;
  commit;
  call ${n.routine('wake')}(wake);
  select if(not theirs, 0, if(first_is_theirs, 1, 2)) as answer;
end`,

  // Answer: whether it was held. The token stays; the lease goes on as it was.
  `create procedure ${n.routine('downgrade')}(k ${NAME}, me ${OWNER})
${invoker}
main: begin
  declare us, v_line, v_token, v_ends, v_since, ignored bigint;
  declare there, held, v_shared, blocked tinyint default 0;
  declare v_owner ${OWNER};
  declare wake varbinary(8000) default '';
  ${UNDO}
  call ${n.routine('enter')}(k, me, us, there);
  if there then
    select owner, token, ends, since, shared, line into v_owner, v_token, v_ends, v_since, v_shared, v_line
      from ${n.table('lock')} where name = k;
    if v_owner = me then
      set held = 1;
      insert into ${n.table('holder')} (name, owner, token, ends, since) values (k, me, v_token, v_ends, v_since);
      update ${n.table('lock')} set owner = null, shared = 1 where name = k;
      if v_line is not null then
        call ${n.routine('serve')}(k, null, 0, 0, us, ignored, ignored, blocked, wake);
      end if;
    elseif v_shared then
      set held = exists (select 1 from ${n.table('holder')} where name = k and owner = me);
    end if;
  end if;
  commit;
  call ${n.routine('wake')}(wake);
  select held as answer;
end`,

  // Takes the key from all its holders and serves the line. Answer: their owners, with spaces between
  `create procedure ${n.routine('force')}(k ${NAME})
${invoker}
main: begin
  declare us, v_line, ignored bigint;
  declare there, v_shared, v_none, blocked, heard tinyint default 0;
  declare v_owner, one ${OWNER};
  declare wake varbinary(8000) default '';
  declare victims longblob default '';
  declare holders cursor for select owner from ${n.table('holder')} where name = k;
  declare continue handler for not found set v_none = 1;
  ${UNDO}
  call ${n.routine('enter')}(k, null, us, there);
  if there then
    select owner, shared, line into v_owner, v_shared, v_line from ${n.table('lock')} where name = k;
    if v_owner is not null then
      set victims = v_owner;
      call ${n.routine('post')}(${instanceOf('v_owner')}, concat('x ', v_owner), us, wake, heard);
    end if;
    if v_shared then
      set v_none = 0;
      open holders;
      telling: loop
        fetch holders into one;
        if v_none then leave telling; end if;
        set victims = concat(victims, if(victims = '', '', ' '), one);
        call ${n.routine('post')}(${instanceOf('one')}, concat('x ', one), us, wake, heard);
      end loop;
      close holders;
      delete from ${n.table('holder')} where name = k;
    end if;
    update ${n.table('lock')} set owner = null, shared = 0 where name = k;
    if v_line is not null then
      call ${n.routine('serve')}(k, null, 0, 0, us, ignored, ignored, blocked, wake);
    end if;
  end if;
  commit;
  call ${n.routine('wake')}(wake);
  select victims as answer;
end`,
];

import type { Names } from './names.js';
import { CLOCK, invoker, NAME, next, OWNER, UNDO } from './state.js';

export const renew = (n: Names): readonly string[] => [
  // A lease is never shortened: the holder may believe in the longer one, when the answer to this is lost. The list: for each lock its
  // name, owner and ttl, in the order of the names, so that two of these do not wait for each other in a circle.
  // Answer: a digit for each lock, whether it is still held
  `create procedure ${n.routine('renew')}(list longblob)
${invoker}
main: begin
  declare us, ttl bigint;
  declare p int default 1;
  declare held tinyint;
  declare me ${OWNER};
  declare k ${NAME};
  declare answer longblob default '';
  ${UNDO}
  commit;
  set transaction isolation level read committed;
  start transaction;
  while p <= length(list) do
    ${next('list', 'k')}
    ${next('list', 'me')}
    ${next('list', 'ttl')}
    set us = ${CLOCK};
    update ${n.table('lock')} set ends = greatest(ends, us + ttl * 1000) where name = k and owner = me and ends > us;
    -- Not by the count of rows: one that lasts longer already is not changed, and is not counted, or is, as the client has it.
    set held = row_count() > 0 or exists (select 1 from ${n.table('lock')} where name = k and owner = me and ends > us);
    if not held then
      update ${n.table('holder')} set ends = greatest(ends, us + ttl * 1000) where name = k and owner = me and ends > us;
      set held = row_count() > 0 or exists (select 1 from ${n.table('holder')} where name = k and owner = me and ends > us);
    end if;
    set answer = concat(answer, held);
  end while;
  commit;
  select answer;
end`,
];

import type { Names } from './names.js';
import { FAR_US, invoker, NAME, next, OWNER, SILENCE_US, UNDO } from './state.js';

export const touch = (n: Names): readonly string[] => [
  // Hears of several of one process who stand in line, all at once. Nobody is served by it: those near the head are told to ask by
  // themselves. The list: their owners. Answer: '<look again in us> <us> <bits> <a holder>', a 1 for each who is in line with more
  // than three ahead
  `create procedure ${n.routine('touch')}(k ${NAME}, list longblob)
${invoker}
main: begin
  declare us, fourth, look bigint;
  declare p int default 1;
  declare there, v_shared tinyint;
  declare one, v_owner, v_holder ${OWNER};
  declare bits longblob default '';
  ${UNDO}
  call ${n.routine('enter')}(k, null, us, there);
  set fourth = (select arrival from ${n.table('waiter')} where name = k order by arrival limit 3, 1);
  while p <= length(list) do
    ${next('list', 'one')}
    update ${n.table('waiter')} set deadline = us + ${SILENCE_US}, deaf = 0, missed = 0
      where owner = one and name = k and arrival > fourth;
    set bits = concat(bits, row_count() > 0);
  end while;
  set look = ${FAR_US}, v_holder = '';
  if there then
    select owner, ends - us, shared into v_owner, look, v_shared from ${n.table('lock')} where name = k;
    if v_owner is not null then
      set v_holder = v_owner;
    elseif v_shared then
      select owner, ends - us into v_holder, look from ${n.table('holder')} where name = k order by ends limit 1;
    else
      set look = 0;
    end if;
  end if;
  commit;
  select concat(least(look, ${FAR_US}), ' ', us, ' ', bits, ' ', v_holder) as answer;
end`,
];

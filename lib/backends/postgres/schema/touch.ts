import { FAR_LOOK_MS, WAITER_SILENCE_US } from './limits.js';
import { COMMIT_SOON, define, sql, US } from './sql.js';

/**
 * Hears of several of one process who stand in line, all at once. Nobody is served by it: those near the head are told to ask by
 * themselves. Answer: `<look again in ms> <us> <a holder> <bits>`, a `1` for each who is in line with more than three ahead that were heard of
 * lately. Nothing or less to wait for: nobody has the key any more, and whoever asks by itself has the line served.
 */
export const touch = (schema: string): string =>
  define(
    schema,
    'touch_v1(k text, owners text[], box text)',
    'text',
    sql`
declare
  l ${schema}.locks;
  us bigint;
  fourth bigint;
  look bigint;
  holder text;
  bits text;
begin
  select * into l from ${schema}.locks where key = k for update;
  us := ${US};
  select arrival into fourth from ${schema}.waiters
  where key = k and arrival >= l.head and deadline > us order by arrival offset 3 limit 1;
  with touched as (
    update ${schema}.waiters set deadline = us + ${WAITER_SILENCE_US}, inbox = box, deaf = false, missed = false
    where key = k and owner = any(owners) and arrival > fourth returning owner
  )
  select string_agg(case when t.owner is null then '0' else '1' end, '' order by place) into bits
  from unnest(owners) with ordinality u (owner, place) left join touched t on t.owner = u.owner;
  ${COMMIT_SOON}
  if l.owner is null and l.holders = 0 then
    look := 0;
  else
    select * into look, holder from ${schema}.remaining_v1(l, us);
  end if;
  return least(look, ${FAR_LOOK_MS}) || ' ' || us || ' ' || coalesce(holder, '-') || ' ' || bits;
end
`,
  );

import { FAR_LOOK_MS, NEAR_LOOK_MS, TOKEN_STEP, WAITER_SILENCE_US } from './limits.js';
import { COMMIT_DURABLY, COMMIT_SOON, define, sql, US } from './sql.js';

/**
 * Takes the key, or joins its line in the same step. Asked again by the same owner it gives the same answer.
 *
 * `joins`: 0 no, 1 to be told, 2 to ask by itself.
 *
 * Answer, words with a space between: `g <token> <us> <mine…>` granted, `n` instead of `g` where the key is new here;
 * `b <look again in ms> <us> <a holder> <who is directly ahead> <how many ahead, at most 4> <mine…>` busy, with `-` for nobody; `c <limit in force>` a conflict of
 * kinds. `mine`: grants to others of the caller's process, as owner and token.
 */
export const attempt = (schema: string): string =>
  define(
    schema,
    `attempt_v1(k text, whole text, me text, box text, m text, lim integer, ttl bigint, claim bigint, joins integer)`,
    'text',
    sql`
declare
  joining boolean := joins > 0;
  l ${schema}.locks;
  us bigint;
  fresh boolean;
  newcomer boolean := false;
  place bigint;
  s record;
  look bigint;
  holder text;
  ahead text;
  rank integer;
  till bigint;
begin
  ${COMMIT_DURABLY}
  if m = 'x' then
    update ${schema}.locks set token = greatest(token + ${TOKEN_STEP}, ${US}), owner = me, inbox = box, since = ${US},
      ends = ${US} + ttl, firm = ${US} + ttl, n = null
    where key = k and owner is null and holders = 0 and line = 0 returning token, since into place, us;
    if found then return 'g ' || place || ' ' || us; end if;
  end if;
  select * into s from ${schema}.load_v1(k, whole, me);
  l := s.l_;
  fresh := s.fresh;
  us := ${US};
  -- The reply to an earlier sending was lost, or a pushed grant was: it is ours, and the lease counts from this sending.
  if l.owner = me then
    l.ends := greatest(l.ends, us + ttl);
    l.firm := greatest(l.firm, l.ends);
    perform ${schema}.save_v1(l);
    return 'g ' || l.token || ' ' || us;
  end if;
  if l.holders > 0 then
    update ${schema}.holders set ends = greatest(ends, us + ttl) where key = k and owner = me returning token into place;
    if found then return 'g ' || place || ' ' || us; end if;
  end if;
  if (l.owner is not null or l.holders > 0 or l.line > 0) and coalesce(l.n, 1) <> lim then
    ${COMMIT_SOON}
    return 'c ' || coalesce(l.n, 1);
  end if;
  if l.line = 0 and ${schema}.open_v1(l, m, lim) then
    l := ${schema}.take_v1(l, me, box, m, lim, ttl, us, null);
    if m = 'x' then l.firm := l.ends; end if;
    perform ${schema}.save_v1(l);
    return case when fresh then 'n ' else 'g ' end || l.token || ' ' || us;
  end if;
  if joining then
    update ${schema}.waiters set deadline = us + ${WAITER_SILENCE_US}, inbox = box, deaf = joins = 2, missed = false
    where key = k and owner = me returning arrival into place;
    if not found then
      newcomer := true;
      place := l.arrivals + 1;
      l.arrivals := place;
      l.line := l.line + 1;
      insert into ${schema}.waiters (key, arrival, owner, inbox, mode, n, claim, since, deadline, deaf)
      values (k, place, me, box, m, lim, claim, us, us + ${WAITER_SILENCE_US}, joins = 2);
    end if;
  end if;
  select * into s from ${schema}.serve_v1(l, case when joining then me end, ttl, newcomer, box, us);
  l := s.l;
  till := s.till;
  if not joining and not s.blocked and ${schema}.open_v1(l, m, lim) then
    -- Everybody in line is out of reach, and maybe the caller has a place there as well.
    delete from ${schema}.waiters where key = k and owner = me;
    if found then
      l.line := l.line - 1;
    else
      till := ${schema}.stand_back_v1(l, l.arrivals + 1, us);
      l.stand_back := coalesce(till, l.stand_back);
    end if;
    if till is null then
      l := ${schema}.take_v1(l, me, box, m, lim, ttl, us, null);
      s.token := l.token;
      s.served := s.served + 1;
    end if;
  end if;
  if s.served > 0 and l.owner is not null then l.firm := l.ends; end if;
  perform ${schema}.save_v1(l);
  if s.token is not null then return 'g ' || s.token || ' ' || us || s.mine; end if;
  -- A place in line that is forgotten in a crash is asked for again: whoever waits looks when the server is back.
  if s.served = 0 then ${COMMIT_SOON} end if;
  select * into look, holder from ${schema}.remaining_v1(l, us);
  if till is not null then look := (till - us) / 1000 + 1; end if;
  if joining then
    select count(*) into rank from (
      select from ${schema}.waiters where key = k and arrival >= l.head and arrival < place limit 4
    ) before_;
    if rank > 0 then
      select owner into ahead from ${schema}.waiters
      where key = k and arrival >= l.head and arrival < place order by arrival desc limit 1;
    else
      ahead := holder;
    end if;
  end if;
  look := least(look, case when rank = 0 or rank > 3 then ${FAR_LOOK_MS} else ${NEAR_LOOK_MS} end);
  return 'b ' || look || ' ' || us || ' ' || coalesce(holder, '-') || ' ' || coalesce(ahead, '-') || ' ' || coalesce(rank, 0) || s.mine;
end
`,
  );

/** How many milliseconds until the present lease, or the first of several, ends, and whose it is. */
export const remaining = (schema: string): string =>
  define(
    schema,
    `remaining_v1(l ${schema}.locks, us bigint, out look bigint, out holder text)`,
    'record',
    sql`
begin
  if l.owner is not null then
    look := (l.ends - us) / 1000 + 1;
    holder := rtrim(l.owner, '~');
    return;
  end if;
  if l.holders > 0 then
    select (ends - us) / 1000 + 1, rtrim(owner, '~') into look, holder
    from ${schema}.holders where key = l.key order by ends limit 1;
  end if;
  look := coalesce(look, ${NEAR_LOOK_MS});
end
`,
  );

/**
 * All or none of several keys, without joining a line. One token for all, above each one's last. The rows are locked in one order,
 * whatever the order of the keys, so that two such calls do not wait for each other in a circle.
 *
 * Answer: `g <us> <token…>`, `b <look again in ms> <us> <a holder>`, or `c <limit in force>`
 */
export const attemptAll = (schema: string): string =>
  define(
    schema,
    `attempt_all_v1(keys text[], wholes text[], owners text[], box text, modes text[], lims integer[], ttls bigint[])`,
    'text',
    sql`
declare
  all_ ${schema}.locks[];
  l ${schema}.locks;
  s record;
  us bigint;
  held bigint[] := array_fill(null::bigint, array[cardinality(keys)]);
  highest bigint := 0;
  look bigint;
  holder text;
  i integer;
begin
  ${COMMIT_DURABLY}
  all_ := array_fill(null::${schema}.locks, array[cardinality(keys)]);
  for i in select o from unnest(keys) with ordinality u (k, o) order by k collate "C" loop
    select * into s from ${schema}.load_v1(keys[i], wholes[i], owners[i]);
    l := s.l_;
    us := ${US};
    all_[i] := l;
    if l.owner = owners[i] then
      held[i] := l.token;
    elsif l.holders > 0 then
      held[i] := (select token from ${schema}.holders where key = keys[i] and owner = owners[i]);
    end if;
    if held[i] is null then
      if (l.owner is not null or l.holders > 0 or l.line > 0) and coalesce(l.n, 1) <> lims[i] then
        return 'c ' || coalesce(l.n, 1);
      end if;
      if l.line > 0 or not ${schema}.open_v1(l, modes[i], lims[i]) then
        select * into look, holder from ${schema}.remaining_v1(l, us);
        return 'b ' || look || ' ' || us || ' ' || coalesce(holder, '-');
      end if;
    end if;
    highest := greatest(highest, l.token + ${TOKEN_STEP}, us);
  end loop;
  for i in 1 .. cardinality(keys) loop
    l := all_[i];
    if held[i] is null then
      l := ${schema}.take_v1(l, owners[i], box, modes[i], lims[i], ttls[i], us, highest);
      held[i] := highest;
    elsif l.owner = owners[i] then
      l.ends := greatest(l.ends, us + ttls[i]);
    else
      update ${schema}.holders set ends = greatest(ends, us + ttls[i]) where key = keys[i] and owner = owners[i];
    end if;
    if l.owner is not null then l.firm := greatest(l.firm, l.ends); end if;
    perform ${schema}.save_v1(l);
  end loop;
  return 'g ' || us || ' ' || array_to_string(held, ' ');
end
`,
  );

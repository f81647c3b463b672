import { COMMIT_DURABLY, define, sql, US } from './sql.js';

/**
 * Renews many leases, each to at least its ttl from now. The rows are locked in one order, so that two such calls do not wait for each
 * other in a circle. A renewal that a crash forgets would free a lock that is believed in, so it waits for the disk also where the
 * role or the database is set up otherwise. Answer: a `1` or a `0` for each, in the order of the keys
 */
export const renew = (schema: string): string =>
  define(
    schema,
    'renew_v1(keys text[], owners text[], ttls bigint[])',
    'text',
    sql`
declare
  held boolean[] := array_fill(false, array[cardinality(keys)]);
  i integer;
begin
  ${COMMIT_DURABLY}
  for i in select o from unnest(keys) with ordinality u (k, o) order by k collate "C" loop
    update ${schema}.locks set ends = greatest(ends, ${US} + ttls[i]), firm = greatest(firm, ${US} + ttls[i])
    where key = keys[i] and owner = owners[i] and ends > ${US};
    if not found then
      update ${schema}.holders set ends = greatest(ends, ${US} + ttls[i])
      where key = keys[i] and owner = owners[i] and ends > ${US};
    end if;
    held[i] := found;
  end loop;
  return translate(array_to_string(held, ''), 'tf', '10');
end
`,
  );

/**
 * A key goes from one owner to another of the same process, which is in force there already: nothing is decided here.
 * Answer: 1, 2 when others in line were overtaken, 0 when the key was none of theirs
 */
export const takeOver = (schema: string): string =>
  define(
    schema,
    'take_over_v1(k text, me text, box text, ttl bigint, fence bigint, before text[])',
    'integer',
    sql`
declare
  l ${schema}.locks;
  us bigint;
  theirs text[] := before || me;
  first text;
  gone integer;
  answer integer := 0;
begin
  ${COMMIT_DURABLY}
  select * into l from ${schema}.locks where key = k for update;
  us := ${US};
  if not found then return 0; end if;
  if l.line > 0 then
    select owner into first from ${schema}.waiters where key = k and arrival >= l.head order by arrival limit 1;
    delete from ${schema}.waiters where key = k and owner = any(theirs);
    get diagnostics gone = row_count;
    l.line := l.line - gone;
  end if;
  if l.owner = any(theirs) and l.ends > us then
    answer := case when l.owner = me or first is null or first = any(theirs) then 1 else 2 end;
    l.since := case when l.owner = me then l.since else us end;
    l.owner := me;
    l.inbox := box;
    l.token := greatest(l.token, fence);
    l.ends := greatest(l.ends, us + ttl);
    l.firm := greatest(l.firm, l.ends);
  end if;
  perform ${schema}.save_v1(l);
  return answer;
end
`,
  );

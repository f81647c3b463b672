import { COMMIT_SOON, define, sql, US } from './sql.js';

/** What is known of one row, as JSON. Tokens are text: they may be more than a double can carry. */
export const describe = (schema: string): string =>
  define(
    schema,
    `describe_v1(l ${schema}.locks, us bigint)`,
    'json',
    sql`
declare
  holders json;
  waiters json;
  waiting bigint := 0;
begin
  if l.holders > 0 then
    select json_agg(json_build_object('owner', rtrim(owner, '~'), 'token', token::text, 'remainingUs', ends - us, 'heldUs', us - since) order by token)
    into holders from ${schema}.holders where key = l.key and ends > us;
  elsif l.owner is not null and l.ends > us then
    holders := json_build_array(
      json_build_object('owner', rtrim(l.owner, '~'), 'token', l.token::text, 'remainingUs', l.ends - us, 'heldUs', us - l.since));
  end if;
  if l.line > 0 then
    select count(*) into waiting from ${schema}.waiters where key = l.key and deadline > us;
    select json_agg(json_build_object('owner', owner, 'waitingUs', us - since) order by arrival) into waiters
    from (select owner, since, arrival from ${schema}.waiters where key = l.key and deadline > us order by arrival limit 100) first;
  end if;
  if holders is null and waiting = 0 then return null; end if;
  return json_build_object(
    'key', coalesce(l.name, l.key),
    'shared', l.holders > 0 and l.n is null,
    'limit', coalesce(l.n, 1),
    'holders', coalesce(holders, '[]'::json),
    'waiting', waiting,
    'waiters', coalesce(waiters, '[]'::json)
  );
end
`,
  );

/** Changes nothing. Answer: the JSON of `describe_v1`, or null of a key that nobody holds or waits for */
export const inspect = (schema: string): string =>
  define(
    schema,
    'inspect_v1(k text)',
    'json',
    sql`
declare
  l ${schema}.locks;
begin
  select * into l from ${schema}.locks where key = k;
  if not found then return null; end if;
  return ${schema}.describe_v1(l, ${US});
end
`,
  );

/**
 * The keys that begin with a prefix and are held or waited for. Looks at `most` rows at most, whatever they hold.
 * Answer: an array of the JSON of `describe_v1`, and where to go on, or null at the end
 */
export const list = (schema: string): string =>
  define(
    schema,
    'list_v1(prefix text, after text, most integer, out keys json[], out next text)',
    'record',
    sql`
declare
  l ${schema}.locks;
  one json;
  seen integer := 0;
begin
  keys := '{}';
  for l in
    select * from ${schema}.locks where key >= prefix and (after is null or key > after) order by key limit most
  loop
    next := null;
    exit when not starts_with(l.key, prefix);
    seen := seen + 1;
    if seen = most then next := l.key; end if;
    one := ${schema}.describe_v1(l, ${US});
    if one is not null then keys := keys || one; end if;
  end loop;
end
`,
  );

/**
 * Forgets keys that nobody has used for `idle` microseconds, their counters included: tokens start from the clock, so they grow all the same. A
 * few at a time, in the order of the keys. Answer: where to go on, or null at the end, and how many it looked at
 */
export const sweep = (schema: string): string =>
  define(
    schema,
    'sweep_v1(idle bigint, after text, most integer, out next text, out seen integer)',
    'record',
    sql`
declare
  l ${schema}.locks;
  us bigint := ${US};
begin
  ${COMMIT_SOON}
  seen := 0;
  for l in
    select * from ${schema}.locks where key > after order by key limit most
  loop
    seen := seen + 1;
    next := l.key;
    continue when l.token + idle > us or (l.owner is not null and greatest(l.ends, l.firm) + idle > us);
    select * into l from ${schema}.locks where key = l.key for update skip locked;
    continue when not found or l.token + idle > us or (l.owner is not null and greatest(l.ends, l.firm) + idle > us);
    delete from ${schema}.holders where key = l.key and ends + idle <= us;
    delete from ${schema}.waiters where key = l.key and deadline + idle <= us;
    if not exists (select from ${schema}.holders where key = l.key)
      and not exists (select from ${schema}.waiters where key = l.key)
    then
      delete from ${schema}.locks where key = l.key;
    else
      l.holders := (select count(*) from ${schema}.holders where key = l.key);
      l.line := (select count(*) from ${schema}.waiters where key = l.key);
      perform ${schema}.save_v1(l);
    end if;
  end loop;
  if seen < most then next := null; end if;
end
`,
  );

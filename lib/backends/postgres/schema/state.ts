import { MOST_PASSED_OVER, STAND_BACK_US, TOKEN_STEP } from './limits.js';
import { define, isDead, sql, US } from './sql.js';

/** What the verbs are made of. Each works on a row of `locks` that the caller has locked, and gives it back changed. */
export const state = (schema: string): string =>
  [
    // Since when the server has lost nothing, as a token. The first who asks after a crash finds the table empty. It is above all
    // tokens from before, also where the clock has gone back since, as on a standby or after the machine was started anew.
    define(
      schema,
      'unbroken_v1()',
      'bigint',
      sql`
declare
  known bigint;
begin
  select since into known from ${schema}.boot;
  if found then return known; end if;
  known := greatest(${US}, (select max(token) + 1 from ${schema}.locks));
  insert into ${schema}.boot (since) values (known) on conflict do nothing;
  return known;
end
`,
    ),
    // Whether a crash may have forgotten to whom this lock was handed on: then nobody gets it before "firm".
    define(
      schema,
      `doubtful_v1(l ${schema}.locks, us bigint)`,
      'boolean',
      sql`
begin
  return l.firm > us and l.token < ${schema}.unbroken_v1();
end
`,
    ),
    // Forgets what has ended. The silent waiters at the head of a lock that nobody holds are forgotten as well: they must not keep
    // out who asks for several keys or for another kind of lock.
    define(
      schema,
      `tidy_v1(l ${schema}.locks, me text, us bigint)`,
      `${schema}.locks`,
      sql`
declare
  w ${schema}.waiters;
  gone integer;
begin
  if l.owner is not null and l.ends <= us then
    if ${schema}.doubtful_v1(l, us) then l.ends := l.firm; else l.owner := null; end if;
  end if;
  if l.holders > 0 then
    delete from ${schema}.holders where key = l.key and ends <= us;
    get diagnostics gone = row_count;
    l.holders := l.holders - gone;
  end if;
  while l.line > 0 and l.owner is null and l.holders = 0 loop
    select * into w from ${schema}.waiters where key = l.key and arrival >= l.head order by arrival limit 1;
    if not found then
      l.line := 0;
    elsif w.owner = me or w.deadline > us then
      exit;
    else
      delete from ${schema}.waiters where key = l.key and arrival = w.arrival;
      l.line := l.line - 1;
      l.head := w.arrival + 1;
    end if;
  end loop;
  return l;
end
`,
    ),
    define(
      schema,
      `save_v1(l ${schema}.locks)`,
      'void',
      sql`
begin
  update ${schema}.locks set
    token = l.token, owner = l.owner, inbox = l.inbox, since = l.since, ends = l.ends, firm = l.firm, n = l.n,
    holders = l.holders, line = l.line, arrivals = l.arrivals, head = l.head, stand_back = l.stand_back
  where key = l.key;
end
`,
    ),
    // The row of a key, locked and tidied; a new one where there is none.
    define(
      schema,
      `load_v1(k text, whole text, me text, out l_ ${schema}.locks, out fresh boolean)`,
      'record',
      sql`
declare
  was ${schema}.locks;
begin
  fresh := false;
  loop
    select * into was from ${schema}.locks where key = k for update;
    exit when found;
    insert into ${schema}.locks (key, name) values (k, whole) on conflict do nothing;
    fresh := found;
  end loop;
  l_ := ${schema}.tidy_v1(was, me, ${US});
  if l_ is distinct from was then perform ${schema}.save_v1(l_); end if;
end
`,
    ),
    // Whether one more of this mode fits beside the present holders: x alone, s beside shared ones, p while permits are left.
    define(
      schema,
      `open_v1(l ${schema}.locks, mode text, n integer)`,
      'boolean',
      sql`
begin
  if l.owner is not null then return false; end if;
  if mode = 'x' then return l.holders = 0; end if;
  return mode = 's' or l.holders < n;
end
`,
    ),
    // Makes the owner a holder. The token grows also over a lost row or another server, as long as their clocks do.
    define(
      schema,
      `take_v1(l ${schema}.locks, to_ text, box text, mode text, n integer, ttl bigint, us bigint, fence bigint)`,
      `${schema}.locks`,
      sql`
begin
  l.token := coalesce(fence, greatest(l.token + ${TOKEN_STEP}, us));
  if mode = 'x' then
    l.owner := to_;
    l.inbox := box;
    l.since := us;
    l.ends := us + ttl;
  else
    insert into ${schema}.holders (key, owner, inbox, token, since, ends) values (l.key, to_, box, l.token, us, us + ttl);
    l.holders := l.holders + 1;
  end if;
  l.n := case when mode = 'p' then n end;
  return l;
end
`,
    ),
    // Until when somebody who has only just come stands back for those in line before "first", who were out of reach: if that is
    // new, they may be reconnecting, all of them, and the one who let go would otherwise take the lock again at once, and again.
    // Dead ones cost this once; asking again takes the mark off.
    define(
      schema,
      `stand_back_v1(l ${schema}.locks, first bigint, us bigint)`,
      'bigint',
      sql`
begin
  if l.stand_back > us then return l.stand_back; end if;
  update ${schema}.waiters set missed = true where key = l.key and arrival < first and not missed;
  return case when found then us + ${STAND_BACK_US} end;
end
`,
    ),
    // Hands the lock to whoever is first in line and can be reached, and on while more fit. One who cannot be reached keeps its place
    // and is passed over: it may be reconnecting. The caller's own process hears of its grants in the answer ("mine"), others by NOTIFY.
    // "token": the one that "me" was served with. "blocked": somebody who is there still waits in front.
    define(
      schema,
      `serve_v1(inout l ${schema}.locks, me text, my_ttl bigint, newcomer boolean, box text, us bigint,
  out token bigint, out blocked boolean, out till bigint, out mine text, out served integer)`,
      'record',
      sql`
declare
  w ${schema}.waiters;
  next bigint := l.head;
  skipped integer := 0;
  dead text[] := '{}';
begin
  mine := '';
  served := 0;
  blocked := true;
  -- Behind an exclusive holder nobody fits, so the line need not be looked at.
  while l.owner is null loop
    select * into w from ${schema}.waiters where key = l.key and arrival >= next order by arrival limit 1;
    if not found then
      if skipped = 0 then l.line := 0; end if;
      blocked := false;
      return;
    end if;
    next := w.arrival + 1;
    if w.deadline <= us and w.owner is distinct from me then
      delete from ${schema}.waiters where key = l.key and arrival = w.arrival;
      l.line := l.line - 1;
      if skipped = 0 then l.head := next; end if;
      continue;
    end if;
    if not ${schema}.open_v1(l, w.mode, w.n) then return; end if;
    if w.owner = me then
      if newcomer and skipped > 0 then
        till := ${schema}.stand_back_v1(l, w.arrival, us);
        if till is not null then
          l.stand_back := till;
          return;
        end if;
      end if;
    elsif w.inbox <> box and not w.deaf and (w.inbox = any(dead) or ${schema}.dead_v1(w.inbox)) then
      dead := dead || w.inbox;
      skipped := skipped + 1;
      if skipped < ${MOST_PASSED_OVER} then continue; end if;
      blocked := false;
      return;
    end if;
    delete from ${schema}.waiters where key = l.key and arrival = w.arrival;
    l.line := l.line - 1;
    if skipped = 0 then l.head := next; end if;
    l := ${schema}.take_v1(l, w.owner, w.inbox, w.mode, w.n, case when w.owner = me then my_ttl else w.claim end, us, null);
    served := served + 1;
    if w.owner = me then
      token := l.token;
    elsif w.inbox = box then
      mine := mine || ' ' || w.owner || ' ' || l.token;
    elsif not w.deaf then
      perform pg_notify('lock_' || w.inbox, 'g ' || w.owner || ' ' || l.token || ' ' || us);
    end if;
  end loop;
end
`,
    ),
    define(
      schema,
      'dead_v1(box text)',
      'boolean',
      sql`
begin
  return ${isDead('box')};
end
`,
    ),
  ].join('');

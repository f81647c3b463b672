import { FIRM_EXTRA_US, LONGEST_CLAIM_US, TOKEN_STEP } from './limits.js';
import { COMMIT_DURABLY, COMMIT_SOON, define, isDead, sql, US } from './sql.js';

/** The firm rule: whether a grant that is on disk keeps others out until a claim ends that is not. */
const vouchedFor = (end: string): string => `${end} <= least(l.firm, us + ${LONGEST_CLAIM_US})`;

/**
 * The owner neither holds nor waits from here on, and the line is served in the same step.
 *
 * Whether its commit waits for the disk. A crash forgets the last commits that did not, all from some moment on. If it forgets that a
 * lock was let go, somebody waits for a lease to end: late, not wrong. If it forgets that it was handed on, the successor believes in
 * a grant that the server no longer knows, until the claim ends. So:
 * - `firm` is a time until which a grant that *is* on disk keeps others out. A hand-over waits for the disk unless its claim ends
 *   before that (`vouchedFor`); it leaves `firm` as it is. Any other grant waits for the disk and sets it.
 * - After a crash (`boot` is empty) an exclusive lock that was granted before it ends at `firm`, not at the end of its lease: the
 *   owner on disk may be several hand-overs behind.
 * - A release that is repeated after a crash may be of a lock that was handed on already. It keeps the key closed until the claim of
 *   whoever that was must have ended.
 *
 * `again`: an earlier release of this owner went unanswered. `before`: owners of the same process whose hold counts as this owner's.
 * Answer: `1`, or `<was it held: 0, 1> <us> <mine…>` as in an attempt
 */
export const release = (schema: string): string =>
  define(
    schema,
    'release_v1(k text, me text, box text, keep bigint, before text[], again boolean)',
    'text',
    sql`
declare
  l ${schema}.locks;
  us bigint;
  held integer := 0;
  closed boolean := false;
  exclusive boolean := false;
  gone integer;
  s record;
  w ${schema}.waiters;
begin
  if keep = 0 and before is null and not again then
    update ${schema}.locks set owner = null, firm = 0 where key = k and owner = me and line = 0;
    if found then
      ${COMMIT_SOON}
      return '1';
    end if;
    -- The hand-over that most are: the first in line is there. The same as what follows comes to, in few statements.
    select * into l from ${schema}.locks where key = k and owner = me for update;
    if found then
      us := ${US};
      delete from ${schema}.waiters
      where key = k and arrival = (select arrival from ${schema}.waiters where key = k and arrival >= l.head order by arrival limit 1)
        and mode = 'x' and deadline > us
        and (inbox = box or deaf or not ${isDead('inbox')})
      returning * into w;
      if found then
        l.token := greatest(l.token + ${TOKEN_STEP}, us);
        if ${vouchedFor('us + w.claim')} then
          ${COMMIT_SOON}
        else
          ${COMMIT_DURABLY}
          l.firm := us + w.claim + ${FIRM_EXTRA_US};
        end if;
        update ${schema}.locks set token = l.token, owner = w.owner, inbox = w.inbox, since = us, ends = us + w.claim, firm = l.firm,
          n = null, line = line - 1, head = w.arrival + 1
        where key = k;
        if w.inbox = box then return '1 ' || us || ' ' || w.owner || ' ' || l.token; end if;
        if w.deaf then return '1 ' || us; end if;
        perform pg_notify('lock_' || w.inbox, 'g ' || w.owner || ' ' || l.token || ' ' || us);
        return '1 ' || us;
      end if;
    end if;
  end if;
  ${COMMIT_DURABLY}
  select * into l from ${schema}.locks where key = k for update;
  us := ${US};
  if not found then return '0 ' || us; end if;
  if before is not null then
    -- All of them are in line yet where the server has not heard of it.
    delete from ${schema}.waiters where key = k and owner = any(before || me);
    get diagnostics gone = row_count;
    l.line := l.line - gone;
    if l.owner = any(before) then l.owner := me; end if;
  end if;
  -- A lease that has ended, and until now nobody came after it, counts as held: nobody else was in.
  if l.owner = me then
    held := 1;
    exclusive := true;
    l.owner := null;
    if keep > 0 then
      closed := true;
      l.ends := us + keep;
    elsif again and ${schema}.doubtful_v1(l, us) then
      l.ends := least(l.firm, ${schema}.unbroken_v1() + ${LONGEST_CLAIM_US});
      closed := l.ends > us;
    end if;
    if closed then
      l.owner := me || '~';
      l.firm := l.ends;
    end if;
  elsif l.holders > 0 and keep > 0 then
    update ${schema}.holders set owner = me || '~', ends = us + keep where key = k and owner = me;
    closed := found;
    held := closed::integer;
  elsif l.holders > 0 then
    delete from ${schema}.holders where key = k and owner = me;
    get diagnostics held = row_count;
    l.holders := l.holders - held;
  end if;
  if held = 0 and l.line > 0 then
    delete from ${schema}.waiters where key = k and owner = me;
    get diagnostics gone = row_count;
    l.line := l.line - gone;
  end if;
  l := ${schema}.tidy_v1(l, null, us);
  if l.line = 0 then
    if l.owner is null then l.firm := 0; end if;
    perform ${schema}.save_v1(l);
    if not closed then ${COMMIT_SOON} end if;
    return held || ' ' || us;
  end if;
  select * into s from ${schema}.serve_v1(l, null, 0, false, box, us);
  l := s.l;
  if closed then
    -- Its end moved, so the head looks anew.
    select * into w from ${schema}.waiters where key = k and arrival >= l.head order by arrival limit 1;
    if found then perform pg_notify('lock_' || w.inbox, 'l ' || w.owner); end if;
  elsif s.served = 0 then
    if l.owner is null then l.firm := 0; end if;
    ${COMMIT_SOON}
  elsif exclusive and not again and l.owner is not null and ${vouchedFor('l.ends')} then
    ${COMMIT_SOON}
  elsif l.owner is not null then
    l.firm := l.ends + ${FIRM_EXTRA_US};
  end if;
  perform ${schema}.save_v1(l);
  return held || ' ' || us || s.mine;
end
`,
  );

/** Turns an exclusive hold into a shared one. The token stays, the lease goes on as it was. Answer: `<was it held: 0, 1> <us> <mine…>` */
export const downgrade = (schema: string): string =>
  define(
    schema,
    'downgrade_v1(k text, me text, box text)',
    'text',
    sql`
declare
  l ${schema}.locks;
  us bigint;
  s record;
begin
  ${COMMIT_DURABLY}
  select * into l from ${schema}.locks where key = k for update;
  us := ${US};
  if not found then return '0 ' || us; end if;
  l := ${schema}.tidy_v1(l, null, us);
  if l.owner is distinct from me then
    perform ${schema}.save_v1(l);
    return (select count(*) from ${schema}.holders where key = k and owner = me) || ' ' || us;
  end if;
  insert into ${schema}.holders (key, owner, inbox, token, since, ends) values (k, me, l.inbox, l.token, l.since, l.ends);
  l.owner := null;
  l.firm := 0;
  l.holders := l.holders + 1;
  select * into s from ${schema}.serve_v1(l, null, 0, false, box, us);
  perform ${schema}.save_v1(s.l);
  return '1 ' || us || s.mine;
end
`,
  );

/** Takes the key from whoever holds it. Answer: `<us> <how many lost it> <who…> <mine…>`; each is told through its inbox as well. */
export const force = (schema: string): string =>
  define(
    schema,
    'force_v1(k text, box text)',
    'text',
    sql`
declare
  l ${schema}.locks;
  us bigint;
  h record;
  victims text := '';
  count_ integer := 0;
  s record;
begin
  ${COMMIT_DURABLY}
  select * into l from ${schema}.locks where key = k for update;
  us := ${US};
  if not found then return us || ' 0'; end if;
  l := ${schema}.tidy_v1(l, null, us);
  for h in
    with gone as (delete from ${schema}.holders where key = k returning owner, inbox)
    select owner, inbox from gone union all select l.owner, l.inbox where l.owner is not null
  loop
    count_ := count_ + 1;
    victims := victims || ' ' || rtrim(h.owner, '~');
    perform pg_notify('lock_' || h.inbox, 'x ' || h.owner);
  end loop;
  l.owner := null;
  l.holders := 0;
  select * into s from ${schema}.serve_v1(l, null, 0, false, box, us);
  l := s.l;
  l.firm := case when l.owner is null then 0 else l.ends end;
  perform ${schema}.save_v1(l);
  return us || ' ' || count_ || victims || s.mine;
end
`,
  );

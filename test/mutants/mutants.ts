export interface NamedTest {
  readonly spec: string;
  /** Its full name, or the end of it. */
  readonly test: string;
}

/** How a mutant is found out. */
export type Killer =
  | NamedTest
  /** The simulation on a network of that quality, in one of so many seeds from the first on. */
  | { readonly simulation: 'good' | 'poor' | 'terrible'; readonly seeds: number };

/** A deliberate bug. */
export interface Mutant {
  /** What is wrong, as a bug report would say it. */
  readonly bug: string;
  /** In `lib`. */
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  readonly killedBy: Killer;
}

const engine = (spec: string, test: string): Killer => ({ spec: `test/engine/${spec}.spec.ts`, test });
const onRedis = (test: string): Killer => ({ spec: 'test/contract/redis.spec.ts', test });
const shortWays = (test: string): Killer => ({ spec: 'test/contract/redis-short-ways.spec.ts', test });
const edges = (test: string): Killer => ({ spec: 'test/faults/redis-scripts.spec.ts', test });
const inbox = (test: string): Killer => ({ spec: 'test/redis/inbox.spec.ts', test });
const members = (test: string): Killer => ({ spec: 'test/etcd/members.spec.ts', test });
const byHand = (test: string): Killer => ({ spec: 'test/faults/etcd-by-hand.spec.ts', test });
const resent = (test: string): Killer => ({ spec: 'test/faults/etcd-resent.spec.ts', test });
const votes = (test: string): Killer => ({ spec: 'test/backends/quorum/votes.spec.ts', test });
const quorumLeases = (test: string): Killer => ({ spec: 'test/backends/quorum/leases.spec.ts', test });
const crash = (test: string): Killer => ({ spec: 'test/faults/postgres-crash.spec.ts', test });
const simulation = (quality: 'good' | 'poor' | 'terrible', seeds: number): Killer => ({ simulation: quality, seeds });

/** Bugs of lock libraries, most of them real ones of ours or others, each with the test that has to find it. */
export const mutants: readonly Mutant[] = [
  // --- What is believed ---
  {
    bug: 'the validity of a lock counts from the answer, not from the question',
    file: 'engine/waiting/wait.ts',
    find: 'return granted(answer, sentAt, this.claim.ttl);',
    replace: 'return granted(answer, clock.now(), this.claim.ttl);',
    killedBy: simulation('poor', 300),
  },
  {
    bug: 'the validity of a renewal counts from its answer',
    file: 'engine/leases/watchdog.ts',
    find: 'this.#settled(watch, held, sentAt,',
    replace: 'this.#settled(watch, held, this.options.clock.now(),',
    killedBy: simulation('poor', 300),
  },
  {
    bug: 'clocks are taken to run at the same speed',
    file: 'engine/leases/validity.ts',
    find: 'return sentAt + ttl - driftMargin(ttl);',
    replace: 'return sentAt + ttl;',
    killedBy: engine('holding', 'a slow clock does not have it believed in when the server gives it to the next'),
  },
  {
    bug: 'a pushed grant counts from its arrival',
    file: 'engine/leases/validity.ts',
    find: 'return Math.min(now, notYet.sentAt + (grantedAt - notYet.at) * 0.99);',
    replace: 'return now;',
    killedBy: simulation('poor', 300),
  },
  {
    bug: 'a push that is older than the last "not yet" is believed',
    file: 'engine/leases/validity.ts',
    find: 'notYet.at === undefined || grantedAt <= notYet.at) return undefined;\n  return Math.min',
    replace: 'notYet.at === undefined) return undefined;\n  return Math.min',
    killedBy: engine('validity', 'a pushed grant that is older than the last "not yet", or cannot be dated, is void'),
  },
  {
    bug: '`held` asks whether the timer has run, not the clock',
    file: 'engine/leases/lease.ts',
    find: 'return !this.#ended && ((this.kept && this.watch.renewed) || !this.isOverdue);',
    replace: 'return !this.#ended;',
    killedBy: engine(
      'holding',
      'after a stall `held` is false at the first look, before any timer ran, and the loss is told once',
    ),
  },
  {
    bug: 'nothing tells the end of a lease',
    file: 'engine/leases/watchdog.ts',
    find: 'if (!lease.live) this.#lose(lease, EXPIRED);',
    replace: 'if (!lease.live) continue;',
    killedBy: engine('holding', 'is told by the signal before the lease can end on the server'),
  },
  {
    bug: 'a lease gets shorter on the server than it is believed here',
    file: 'backends/memory/lock-table.ts',
    find: 'hold.ends = Math.max(hold.ends, this.now() + ttl);',
    replace: 'hold.ends = this.now() + ttl;',
    killedBy: simulation('poor', 1_000),
  },
  {
    bug: 'a grant that was pushed in an earlier session is believed under a later one',
    file: 'engine/leases/session-family.ts',
    find: '        if (attachment?.session !== open) return waiter.look();\n        attachment.grantedIn = open;\n',
    replace: '        if (attachment) attachment.grantedIn = attachment.session;\n',
    killedBy: engine('session-family', 'a grant that was made in an earlier session is not believed under a later one'),
  },
  {
    bug: 'a grant that was pushed in a session which ends while a question is on its way is believed under the next',
    file: 'engine/leases/session-family.ts',
    find: 'if (!attachment || !open || attachment.grantedIn !== open) return undefined;',
    replace: 'if (!attachment || !open) return undefined;',
    killedBy: simulation('poor', 1_000),
  },

  // --- Renewal ---
  {
    bug: 'a renewal that failed is not tried again',
    file: 'engine/leases/watchdog.ts',
    find: 'this.#atOrBeforeEnd(watch, this.options.clock.now() + retryAfter(lease));',
    replace: 'this.#atOrBeforeEnd(watch, Infinity);',
    killedBy: engine('watchdog', 'one confirmation after errors keeps the lease'),
  },
  {
    bug: 'a renewal that failed counts as one',
    file: 'engine/leases/watchdog.ts',
    find: '(error: unknown) => settled([], error)',
    replace: '(error: unknown) => settled(batch.map(() => true), error)',
    killedBy: simulation('poor', 300),
  },
  {
    bug: 'a release does not wait for the renewal that is on its way',
    file: 'engine/leases/letting-go.ts',
    find: 'return quiet && before.length === 0',
    replace: 'return quiet && before.length < 0',
    killedBy: engine(
      'holding',
      'a release awaits the renewal that is on its way, so that this cannot bring the lock back',
    ),
  },

  // --- Unknown is not no ---
  {
    bug: 'what an attempt without an answer may have got is not taken back',
    file: 'engine/waiting/acquisition.ts',
    find: 'if (mayBeThere && this.#wait?.wasAsked) await this.#claims.withdraw(claim);',
    replace: '',
    killedBy: engine('waiting', 'given up, it is taken back before the error comes out'),
  },
  {
    bug: 'a grant that comes after it was given up is not given back',
    file: 'engine/waiting/wait.ts',
    find: 'if (answer.granted || inLine) this.listener.onLate(this.claim);',
    replace: '',
    killedBy: engine(
      'waiting',
      'a grant that is made only after it was taken back is taken back once more, long before its lease ends',
    ),
  },
  {
    bug: 'who gave up is put in line by its late question, and handed the lock',
    file: 'engine/waiting/wait.ts',
    find: 'if (answer.granted || inLine)',
    replace: 'if (answer.granted)',
    killedBy: engine(
      'waiting',
      'one that joins the line only after it was given up leaves it again, and is not handed the lock',
    ),
  },
  {
    bug: 'a late answer frees the lock that a later question has won',
    file: 'engine/waiting/acquisition.ts',
    find: 'if (this.#claims.isWithdrawn(claim)) retries',
    replace: 'retries',
    killedBy: simulation('poor', 300),
  },
  {
    bug: 'a release that was not confirmed is not repeated',
    file: 'engine/asking/release-retries.ts',
    find: '      this.#retry(release, this.clock.now() + forgottenAfterMs, key === undefined ? undefined : { key, error });\n',
    replace: '',
    killedBy: engine(
      'holding',
      'a release that is not confirmed is still a release: it comes out in time, and is repeated in the background',
    ),
  },
  {
    bug: 'the keys that were locked before one that failed stay locked',
    file: 'engine/waiting/acquisition.ts',
    find: '        await this.#claims.rollBack(held);\n        return outcome;',
    replace: '        return outcome;',
    killedBy: engine('several-keys', 'one in use as another sort of lock is told, and nothing is left of the others'),
  },
  {
    bug: 'each of several keys has the whole `wait` to itself',
    file: 'engine/waiting/acquisition.ts',
    find: 'new Wait(this.tools, claim, this.#deadline, this',
    replace: 'new Wait(this.tools, claim, this.tools.clock.now() + this.options.wait, this',
    killedBy: engine('several-keys', 'have one wait for all, and when that is over nothing is held'),
  },

  // --- Waiting ---
  {
    bug: 'a waiter that is told to look does not',
    file: 'engine/waiting/wait.ts',
    find: '    this.#look = true;\n    if (this.#wake) this.tools.pacer.run(() => this.#wake?.());',
    replace: '',
    killedBy: engine(
      'waiting',
      'told to look, it asks at once: so everything that waits is checked again after a reconnect',
    ),
  },
  {
    bug: 'a push that is lost leaves its waiter waiting',
    file: 'engine/waiting/wait.ts',
    find: 'const until = Math.min(this.#nextLook.from(clock.now()), this.deadline);',
    replace: 'const until = this.deadline;',
    killedBy: simulation('poor', 300),
  },
  {
    bug: 'an aborted wait goes on',
    file: 'engine/waiting/wait.ts',
    find: '    this.#giveUp?.();\n    this.#wake?.();',
    replace: '',
    killedBy: engine(
      'abort',
      'a thousand waiters on one signal make one listener and no warning, and all come out at once',
    ),
  },
  {
    bug: 'a session that the server has forgotten is used on',
    file: 'engine/leases/sessions.ts',
    find: 'if (error instanceof SessionEndedError) lease.lose(',
    replace: 'if (error instanceof SessionEndedError) String(',
    killedBy: engine(
      'session-family',
      'a session that the server has forgotten is noticed by any verb, and the next lock gets a new one',
    ),
  },
  {
    bug: 'what a late answer left is let go of ahead of the release of its owner, which then counts as lost',
    file: 'engine/leases/session-family.ts',
    find: '      if (tries++ === 0) await ownersRelease;\n',
    replace: '      tries++;\n',
    killedBy: engine('session-family', 'a late answer during the release lets go once more, and not ahead of it'),
  },
  {
    bug: 'a lock that was taken away by force is not told',
    file: 'engine/engine.ts',
    find: 'backend.onLost?.((owner) => this.#taken(owner));',
    replace: 'backend.onLost?.(() => undefined);',
    killedBy: engine('holding', 'a lock that was taken away by force is told at once, where the server says so'),
  },
  {
    bug: 'work that outlives its lock passes for it',
    file: 'engine/holding/context.ts',
    find: '    this.#active = false;\n',
    replace: '',
    killedBy: engine('context', 'that outlives the lock does not pass for it'),
  },
  {
    bug: 'work that still runs when the grace is over is not told that its lock is gone',
    file: 'engine/holding/holds.ts',
    find: 'hold.surrender(loss)',
    replace: 'hold.release()',
    killedBy: engine(
      'closing',
      'what is still held when the grace is over is released, and whoever works under it is told',
    ),
  },
  {
    bug: 'the next holder of a key is told of before the end of the one before',
    file: 'engine/waiting/acquisition-events.ts',
    find: 'this.tools.endings.next(hold);',
    replace: '',
    killedBy: engine('told', 'so do those of readers before a writer, and of a writer before readers'),
  },
  {
    bug: 'work that enters a lock which it has is taken around again',
    file: 'engine/holding/enter.ts',
    find: 'this.owned ? () => this.#frame.hold.around(work) : work',
    replace: '() => this.#frame.hold.around(work)',
    killedBy: engine('told', 'goes around work once, and not again where that enters the same lock'),
  },
  {
    bug: 'a probe that was granted is not given back',
    file: 'engine/looking/probe.ts',
    find: 'if (!answer.granted) return;',
    replace: 'return;',
    killedBy: engine('looking', 'takes a lock for a moment, and tells nobody of it'),
  },
  {
    bug: 'closing does not wait for what is on its way',
    file: 'engine/shutdown.ts',
    find: 'return this.#until(() => this.open.acquisitions.size === 0, Infinity);',
    replace: 'return Promise.resolve();',
    killedBy: simulation('good', 1_000),
  },
  {
    bug: 'what the machine slept through does not count',
    file: 'engine/time/waking-time.ts',
    find: 'this.#asleep += jump;',
    replace: 'this.#asleep += 0;',
    killedBy: simulation('poor', 300),
  },
  {
    bug: 'a key is in use with two limits at once',
    file: 'backends/memory/entry.ts',
    find: 'return limit === claim.limit ? undefined : limit;',
    replace: 'return undefined;',
    killedBy: simulation('good', 300),
  },
  {
    bug: 'a server that has lost its data is believed to keep what is renewed',
    file: 'engine/leases/key-family.ts',
    find: 'return this.backend.renew(leases.flatMap(claimToRenew));',
    replace: 'return this.backend.renew(leases.flatMap(claimToRenew)).then((all) => all.map(() => true));',
    killedBy: simulation('terrible', 300),
  },
  {
    bug: 'a nested call that nobody awaits goes on without the lock',
    file: 'engine/holding/context.ts',
    find: 'return this.#inside === 0 ? this.end() : undefined;',
    replace: 'return this.#inside === 0 || !this.#active ? this.end() : undefined;',
    killedBy: simulation('good', 300),
  },
  {
    bug: 'in memory a process that stood still loses its locks to itself',
    file: 'engine/leases/key-family.ts',
    find: 'watchdog.renews(owner) || this.#leaving.has(owner)',
    replace: 'this.#leaving.has(owner)',
    killedBy: { spec: 'test/backends/memory.spec.ts', test: 'a lock that is renewed stays, and nobody else comes in' },
  },
  {
    bug: 'thousands that are told to look do so in one turn of the event loop',
    file: 'engine/waiting/wait.ts',
    find: 'if (this.#wake) this.tools.pacer.run(() => this.#wake?.());',
    replace: 'this.#wake?.();',
    killedBy: engine('pacer', 'that are told to look again at once do so a few in each turn of the event loop'),
  },
  {
    bug: 'who comes later gets in before those who wait',
    file: 'backends/memory/lock-table.ts',
    find: 'return entry.line.size === 0 && isOpen(entry, claim)',
    replace: 'return isOpen(entry, claim)',
    killedBy: simulation('good', 300),
  },

  {
    bug: 'nested work that waited for a sibling is not checked again after that',
    file: 'engine/holding/enter.ts',
    find: '      // Check again after the wait: a sibling may have downgraded the lock, or it was lost.\n      checkReentry(engine, frame.hold, resolved);\n',
    replace: '',
    killedBy: engine('unknown-is-not-no', 'by a sibling'),
  },
  {
    bug: 'a question shortly before the end of the wait is not given the time that an answer takes',
    file: 'engine/waiting/wait.ts',
    find: 'Math.max(this.deadline - sentAt, SHORTEST_CALL_MS)',
    replace: 'this.deadline - sentAt',
    killedBy: engine('waiting', 'an answer may take a moment longer than a very short wait'),
  },
  {
    bug: 'a renewal that was confirmed late shortens what a later one confirmed',
    file: 'engine/leases/lease.ts',
    find: 'this.#validUntil = Math.max(this.#validUntil, believedUntil(sentAt, ttl));',
    replace: 'this.#validUntil = believedUntil(sentAt, ttl);',
    killedBy: engine(
      'validity',
      'a confirmation of less, or of an older question, does not shorten what another one confirmed',
    ),
  },
  {
    bug: 'the release of a lost lock keeps the key closed, which may be another one’s',
    file: 'engine/holding/hold.ts',
    find: 'const keepMs = wasHeld || this.#surrendered ? Math.max',
    replace: 'const keepMs = wasHeld || true ? Math.max',
    killedBy: engine(
      'holding',
      'minHold of a lock that was lost keeps nothing closed: the key may be another one’s by now',
    ),
  },

  // --- The scripts on Redis ---
  {
    bug: 'a reader overtakes a waiting writer',
    file: 'backends/redis/protocol/attempt.ts',
    find: 'if not L.waiting and open(L, mode) then return { 1, take',
    replace: 'if open(L, mode) then return { 1, take',
    killedBy: onRedis('a waiting writer is not overtaken by readers who come later, however many loop'),
  },
  {
    bug: 'a reader whose lease has ended still counts',
    file: 'backends/redis/protocol/lock.ts',
    find: "redis.call('ZRANGEBYSCORE', L.set, '-inf', now)",
    replace: "redis.call('ZRANGEBYSCORE', L.set, '-inf', 0)",
    killedBy: onRedis('a dead reader is not kept alive by the renewals of the others'),
  },
  {
    bug: 'the lock is handed to a waiter that nobody can reach',
    file: 'backends/redis/protocol/line.ts',
    find: 'to ~= caller and not listens(to) then',
    replace: 'false then',
    killedBy: {
      spec: 'test/faults/redis-deaths.spec.ts',
      test: 'a killed waiter costs the next one less than a second',
    },
  },
  {
    bug: 'the counter of fencing tokens does not grow',
    file: 'backends/redis/protocol/attempt.ts',
    find: 'math.max((tonumber(read[1]) or 0) + ${TOKEN_STEP}, us), us / 1000',
    replace: 'tonumber(read[1]) or us, us / 1000',
    killedBy: onRedis(
      '5 fencing: tokens of a key grow with each new owner over release, expiry and theft, and stay on re-entry',
    ),
  },
  {
    bug: 'the late release of an old owner frees its successor',
    file: 'backends/redis/protocol/release.ts',
    find: 'if read[2] == ARGV[a + 1] and not read[6]',
    replace: 'if read[2] and not read[6]',
    killedBy: onRedis('a late release of an old owner never frees its successor'),
  },
  {
    bug: 'an attempt sent again joins the line a second time, behind itself',
    file: 'backends/redis/protocol/attempt.ts',
    find: '  if not place then',
    replace: '  if true then',
    killedBy: onRedis('asking again keeps the place in line'),
  },
  {
    bug: 'a grant in the same script as the "not yet" before it looks no younger than that',
    file: 'backends/redis/protocol/together.ts',
    find: '  us = us + 1\n',
    replace: '',
    killedBy: {
      spec: 'test/faults/redis-together.spec.ts',
      test: 'a waiter that joins the line in the same script as the release gets its turn from it, and asks no more',
    },
  },
  {
    bug: 'the lock goes on to a waiter that has been silent for too long',
    file: 'backends/redis/protocol/release.ts',
    find: 'if tonumber(deadline) > us / 1000 and ',
    replace: 'if ',
    killedBy: {
      spec: 'test/faults/redis-together.spec.ts',
      test: 'one who has been silent for too long is passed over, though it could be reached',
    },
  },
  {
    bug: 'the lock is handed on to a waiter that nobody heard of it, and goes on in its name',
    file: 'backends/redis/protocol/release.ts',
    find: 'if own or listens(to) then',
    replace: 'if true then',
    killedBy: {
      spec: 'test/faults/redis-deaths.spec.ts',
      test: 'a killed waiter costs the next one less than a second',
    },
  },
  {
    bug: 'the release of somebody else hands the lock on',
    file: 'backends/redis/protocol/release.ts',
    find: 'if read[2] == ARGV[a + 1] and read[6] and',
    replace: 'if read[2] and read[6] and',
    killedBy: onRedis('a release by one who waits leaves the line, and the one behind is served'),
  },
  {
    bug: 'who comes while the lock is free for a moment goes past the line',
    file: 'backends/redis/protocol/attempt.ts',
    find: 'if not (read[2] or read[4] or read[5] or read[6]) and',
    replace: 'if not (read[2] or read[4] or read[5]) and',
    killedBy: shortWays('say, store and push what the whole scripts do (20 seeds from 100 on)'),
  },
  {
    bug: 'the lock is handed on in short, and its key then ends before the lease and the counter',
    file: 'backends/redis/protocol/release.ts',
    find: ' and (tonumber(read[7]) or 0) >= ends + KEEP then',
    replace: ' then',
    killedBy: shortWays('say, store and push what the whole scripts do (20 seeds from 100 on)'),
  },
  {
    bug: 'a waiter is told of a grant before it is written',
    file: 'backends/redis/protocol/release.ts',
    find: '      if own or listens(to) then\n',
    replace:
      "      if own or listens(to) then\n        tell(to, 'g ' .. head .. ' ' .. token .. ' ' .. string.format('%d', us))\n",
    killedBy: {
      spec: 'test/faults/redis-refusals.spec.ts',
      test: 'nobody is granted what is not written: NOREPLICAS',
    },
  },
  {
    bug: 'a server whose memory is full refuses renewals',
    file: 'backends/redis/protocol/renew.ts',
    find: "local may = redis.pcall('HDEL', KEYS[1], '')",
    replace: 'local may = 0',
    killedBy: {
      spec: 'test/faults/redis-refusals.spec.ts',
      test: 'whose memory is full goes on renewing, handing over and letting go',
    },
  },
  {
    bug: 'a connection that went silent is kept',
    file: 'backends/redis/pulse.ts',
    find: 'this.onSilent();',
    replace: 'undefined;',
    killedBy: {
      spec: 'test/faults/redis-refusals.spec.ts',
      test: 'a connection that went silent is replaced, and held locks stay: subscribers',
    },
  },
  {
    bug: 'of many that go together those behind one that failed are said to be done',
    file: 'backends/redis/protocol/together.ts',
    find: '  elseif a > 0 then\n    break\n',
    replace: '  elseif a > 0 then\n    answers[#answers + 1] = 0\n',
    killedBy: shortWays('together say, store and push what they do one after another (12 seeds from 500 on)'),
  },
  {
    bug: 'a shared lock that is kept closed opens when the lease would have ended',
    file: 'backends/redis/protocol/release.ts',
    find: '    live(L.set, closed)\n    live(L.k, closed + KEEP)\n',
    replace: '',
    killedBy: shortWays(
      'a lock of several that is kept closed stays so, longer than its lease and its counter, and then nothing is left',
    ),
  },
  {
    bug: 'a release overtakes the attempt that it takes back',
    file: 'backends/redis/batcher.ts',
    find: 'const first = this.#onTheWay === 0 && this.#gathered.length === 0;',
    replace: 'const first = this.#onTheWay === 0;',
    killedBy: {
      spec: 'test/redis/batcher.spec.ts',
      test: 'none overtakes those that wait for the end of the turn, though the server has nothing to do by now',
    },
  },
  {
    bug: 'the first of those who were answered together asks again ahead of the others',
    file: 'backends/redis/batcher.ts',
    find: '    this.#manyAnswered = true;\n',
    replace: '',
    killedBy: {
      spec: 'test/redis/batcher.spec.ts',
      test: 'those who were answered together ask again together: nobody of another process comes between them in line',
    },
  },
  {
    bug: 'a takeover is taken for told with that of an owner who has nothing to do with it',
    file: 'backends/redis/batcher.ts',
    find: '(owner === question.owner || question.from.includes(owner))',
    replace: 'true',
    killedBy: {
      spec: 'test/redis/batcher.spec.ts',
      test: 'a takeover that the key did not go on from is told by itself, be it of another key or of the same',
    },
  },
  {
    bug: 'a lock that the server refuses takes those with it that were asked for in the same turn',
    file: 'backends/redis/batcher.ts',
    find: 'if (isRefusal(error)) this.#sendAlone(calls);\n          else ',
    replace: '',
    killedBy: {
      spec: 'test/faults/redis-together.spec.ts',
      test: 'one that the user has no right to fails, and no other',
    },
  },
  {
    bug: 'who waits is not told to look when the connection is back',
    file: 'backends/redis/inbox.ts',
    find: '        channel.settle();\n        this.#lookAt(inbox);\n',
    replace: '        channel.settle();\n',
    killedBy: {
      spec: 'test/redis/inbox.spec.ts',
      test: 'has everybody who waits look when it stands again after a break, for what was pushed meanwhile is lost',
    },
  },

  {
    bug: 'an attempt that is repeated does not extend the lease that it is believed for',
    file: 'backends/redis/protocol/lock.ts',
    find: "    redis.call('HSET', L.k, 'e', whole(math.max(L.ends, now + ttl)))\n    return L.last\n",
    replace: '    return L.last\n',
    killedBy: edges('extend the lease of a holder that asks once more: the lease is believed from that question on'),
  },
  {
    bug: 'several keys get a token that one of them had before',
    file: 'backends/redis/protocol/attempt.ts',
    find: '  highest = math.max(highest, L.last + ${TOKEN_STEP})\n',
    replace: '',
    killedBy: edges('give several keys a token above that of each, also of one that is ahead of the clock'),
  },
  {
    bug: 'newcomers do not stand back for those who may be reconnecting',
    file: 'backends/redis/protocol/line.ts',
    find: '  return L.aside > now and L.aside\n',
    replace: '  return false\n',
    killedBy: edges('have newcomers stand back for those who may be reconnecting, and for a moment only'),
  },
  {
    bug: 'nobody looks after the life of a line to which more and more come',
    file: 'backends/redis/protocol/attempt.ts',
    find: 'local lasting = arrival % 16 > 1 and (tonumber',
    replace: 'local lasting = (tonumber',
    killedBy: edges('keep a line alive to which more and more come'),
  },
  {
    bug: 'a short lease shortens the life of a key that a long renewal gave it',
    file: 'backends/redis/protocol/lock.ts',
    find: "local left = math.max(redis.call('PTTL', L.k), ms + KEEP * ${LONGER})",
    replace: 'local left = ms + KEEP * ${LONGER}',
    killedBy: edges('do not shorten the life of a key that a long renewal gave it'),
  },
  {
    bug: 'a full server gives several keys at once',
    file: 'backends/redis/protocol/attempt.ts',
    find: '    room(L)\n',
    replace: '    prove(L)\n',
    killedBy: {
      spec: 'test/faults/redis-refused-verbs.spec.ts',
      test: "A Redis that says 'OOM' gives no lock, and says why",
    },
  },
  {
    bug: 'one replica is enough where several have to have a lock',
    file: 'backends/redis/replicated.ts',
    find: 'if (acks >= count) return answer;',
    replace: 'if (acks >= 1) return answer;',
    killedBy: { spec: 'test/redis/replicated.spec.ts', test: 'is none when only 1 of 2 have it' },
  },
  {
    bug: 'a pushed grant counts that the replicas have not confirmed',
    file: 'backends/redis/inbox.ts',
    find: '    if (!counts) return waiter.look();\n',
    replace: '    void counts;\n',
    killedBy: inbox('passes on a grant only if it counts, where replicas have to have it'),
  },
  {
    bug: 'nobody looks when an answer was lost that may have brought grants',
    file: 'backends/redis/inbox.ts',
    find: '    if (this.#missed.size === 1) process.nextTick(() => this.#tellMissed());\n',
    replace: '',
    killedBy: inbox(
      'has who waits for a key look when an answer for it was lost, which may have brought its grant: all but the asker',
    ),
  },
  {
    bug: 'who gave up while the inbox rose joins the line all the same',
    file: 'backends/redis/redis.ts',
    find: '    if (!this.#inbox.expects(claim.owner, waiter)) return busy;\n',
    replace: '    void busy;\n',
    killedBy: inbox('puts nobody in line who gave up before it stood'),
  },

  // --- From hand to hand inside of a process ---
  {
    bug: 'who was handed a lock by another of its process believes in a lease that the server has not given',
    file: 'engine/leases/local-hand-over.ts',
    find: '{ claim: successor.claim }, lease.validUntil,',
    replace: '{ claim: successor.claim }, clock.now() + successor.claim.ttl,',
    killedBy: engine(
      'local-hand-over',
      'is believed until the lease of the one before ends, and from the first confirmation on for its own',
    ),
  },
  {
    bug: 'a call that was lost on the way leaves the lock with an owner that is gone',
    file: 'engine/leases/key-family.ts',
    find: 'ownersOf(succession.unconfirmed())',
    replace: 'ownersOf(succession.unconfirmed().slice(-1))',
    killedBy: engine('local-hand-over', 'is repeated until it is confirmed, with all whom the server may know instead'),
  },
  {
    bug: 'a lock that the server has not heard of is let go of in one name only',
    file: 'engine/leases/withdrawals.ts',
    find: 'family.release(claim, keepMs, before)',
    replace: 'family.release(claim, keepMs, NONE)',
    killedBy: engine('local-hand-over', 'leaves nothing behind when the new owner lets go before'),
  },
  {
    bug: 'a process keeps a lock among its own while others wait that came before',
    file: 'engine/leases/key-family.ts',
    find: "succession.confirm(answer === 'overtaking');",
    replace: 'succession.confirm(false);',
    killedBy: engine('local-hand-over', 'is given back when the server says that others have been overtaken'),
  },
  {
    bug: 'a process gives out more tokens by itself than the server leaves it',
    file: 'engine/leases/local-hand-over.ts',
    find: 'lease.succession.depth >= MOST_UNCONFIRMED',
    replace: 'lease.succession.depth === Infinity',
    killedBy: engine(
      'local-hand-over',
      'goes through many hands without the server, but not through more than the tokens allow',
    ),
  },
  {
    bug: 'a process keeps a lock among its own for as long as they come',
    file: 'engine/leases/local-hand-over.ts',
    find: 'if (outOfTurn >= MOST_OUT_OF_TURN) return undefined;',
    replace: '',
    killedBy: engine('local-hand-over', 'go ahead of others, so often in a row and not more often'),
  },
  {
    bug: 'out of turn goes also who wants to be served in turn',
    file: 'engine/leases/local-hand-over.ts',
    find: '!overtaking && outOfTurn === 0 ?',
    replace: '!overtaking ?',
    killedBy: engine(
      'local-hand-over',
      'do not take along who stands directly behind them and wants to be served in turn',
    ),
  },
  {
    bug: 'the server gives out tokens that a process may have given out by itself',
    file: 'backends/redis/protocol/state.ts',
    find: 'TOKEN_STEP = MOST_UNCONFIRMED + 1;',
    replace: 'TOKEN_STEP = 1;',
    killedBy: shortWays('a token that a process gave out by itself is none of the server’s, whatever its clock says'),
  },
  {
    bug: 'an old question, answered late, has the server let go of what a successor holds',
    file: 'engine/leases/letting-go.ts',
    find: 'if (!lease.succession.isStandIn) await',
    replace: 'await',
    killedBy: engine(
      'local-hand-over',
      'an old question of the one before, answered only now, does not have the server give away what its successor has',
    ),
  },
  {
    bug: 'a lock is taken over from one whose number only ends like the holder’s',
    file: 'backends/redis/protocol/take-over.ts',
    find: "string.find(from, ' ' .. number .. ' ', 1, true)",
    replace: "string.find(from, number .. ' ', 1, true)",
    killedBy: shortWays('nobody takes a lock over from one whose number ends like that of the holder'),
  },

  // --- Lines, and etcd ---
  {
    bug: 'a release that a second member answers with "no such key" counts as a loss',
    file: 'backends/etcd/store.ts',
    find: 'return again ? undefined : false;',
    replace: 'return false;',
    killedBy: resent('a release is not told as a loss'),
  },
  {
    bug: 'a `minHold` that a second member finds done already is revoked',
    file: 'backends/etcd/driver.ts',
    find: 'if (kv?.lease !== nobodys.lease) await nobodys',
    replace: 'await nobodys',
    killedBy: resent('a `minHold` keeps the key closed'),
  },
  {
    bug: 'keys of locks that are named below a line hide its holders',
    file: 'backends/etcd/driver.ts',
    find: '    if (isExclusive(claim) && isMixed(claim.key, kvs)) kvs = await this.#store.line(claim.key);\n',
    replace: '',
    killedBy: byHand('keys of other locks between those of a line hide none of its holders'),
  },
  {
    bug: 'very many holders are released by force in one transaction, which etcd refuses',
    file: 'backends/etcd/store.ts',
    find: 'operations.slice(from, from + MOST_AT_ONCE)',
    replace: 'operations.slice(from)',
    killedBy: {
      spec: 'test/faults/etcd-burst.spec.ts',
      test: 'are all released by force, though one transaction takes only 128',
    },
  },
  {
    bug: 'a member that does not answer is asked again and again',
    file: 'backends/line/servers.ts',
    find: 'this.#current = (server + 1) % this.count;',
    replace: 'this.#current = server;',
    killedBy: members('are asked one after another until one answers, and that one is asked from then on'),
  },
  {
    bug: 'renewals wait in the queue behind new locks',
    file: 'backends/line/cluster.ts',
    find: 'return urgent ? send() : this',
    replace: 'return urgent && !urgent ? send() : this',
    killedBy: members('keep what all locks depend on out of the queue'),
  },
  {
    bug: 'a queue of thousands asks a cluster that does not answer, one after another',
    file: 'backends/line/cluster.ts',
    find: '        onNobody: (error) => this.#gate.refuseAll(new Error(`no member answers: ${error.message}`, { cause: error })),\n',
    replace: '',
    killedBy: members('that do not answer are not waited for by the whole queue, one after another'),
  },
  {
    bug: 'a long list that a member cannot give in time drives everybody from that member',
    file: 'backends/line/cluster.ts',
    find: '!optional && this.options.isTrouble(error)',
    replace: 'this.options.isTrouble(error)',
    killedBy: members('are not left for a question on whose answer nothing depends'),
  },
  {
    bug: 'a connection that went silent is used on and on',
    file: 'backends/line/cluster.ts',
    find: 'if (this.#connections.get(server) === connection) this.#connections.delete(server);',
    replace: 'void server;',
    killedBy: members('get a new connection once one has answered nobody for so long, and the old one is closed'),
  },
  {
    bug: 'a request that was given up in the queue is sent all the same',
    file: 'backends/line/gate.ts',
    find: 'if (next?.wanted()) return next.enter();',
    replace: 'if (next) return next.enter();',
    killedBy: { spec: 'test/backends/gate.spec.ts', test: 'does not send a request that was given up while it waited' },
  },
  {
    bug: 'a holder does not read its own place again after it entered',
    file: 'backends/line/contender.ts',
    find: 'if (!there && !this.#over) this.lines.lost(claim.owner);',
    replace: 'void there;',
    killedBy: {
      spec: 'test/faults/etcd-leftovers.spec.ts',
      test: 'is let in by the key ahead of it, reads its own again, and is told long before the next renewal',
    },
  },

  // --- PostgreSQL: what is on disk, and when ---
  {
    bug: 'those who wait far behind others that are gone wait for ever',
    file: 'backends/sql/crowd.ts',
    find: 'if ((await asking) && !others) this.left(key, owner);',
    replace: 'await asking;',
    killedBy: {
      spec: 'test/backends/crowd.spec.ts',
      test: 'where nobody has the key any more, the one who finds out asks by itself, which serves the line, and the others soon look',
    },
  },
  {
    bug: 'no hand-over waits for the disk',
    file: 'backends/postgres/schema/release.ts',
    find: 'const vouchedFor = (end: string): string => `${end} <= least(l.firm, us + ${LONGEST_CLAIM_US})`;',
    replace: "const vouchedFor = (_end: string): string => 'true';",
    killedBy: crash('a hand-over waits for the disk where the lease on disk ends before the claim'),
  },
  {
    bug: 'after a crash a lock is free when the lease on disk ends, whoever it was handed on to since',
    file: 'backends/postgres/schema/state.ts',
    find: 'return l.firm > us and l.token < ${schema}.unbroken_v1();',
    replace: 'return false;',
    killedBy: crash('a chain of hand-overs of which the last ones were forgotten is as safe, wherever it was cut'),
  },
  {
    bug: 'a release that is repeated after a crash frees the key at once',
    file: 'backends/postgres/schema/release.ts',
    find: 'elsif again and ${schema}.doubtful_v1(l, us) then',
    replace: 'elsif false then',
    killedBy: crash('a release that is repeated after it was forgotten does not free the lock of the successor'),
  },
  {
    bug: 'a lock from before a crash counts as one from after it when the clock went back',
    file: 'backends/postgres/schema/state.ts',
    find: 'known := greatest(${US}, (select max(token) + 1 from ${schema}.locks));',
    replace: 'known := ${US};',
    killedBy: crash('wherever it was cut, also where the clock of the server went back by a minute'),
  },
  {
    bug: 'a grant waits for the disk only if the role says so',
    file: 'backends/postgres/schema/sql.ts',
    find: "if current_setting('synchronous_commit') = 'off' then",
    replace: 'if false then',
    killedBy: crash('a renewal is never forgotten, also where commits of the role are asynchronous'),
  },
  {
    bug: 'nobody is told that commits of this MariaDB do not wait for its log',
    file: 'backends/mysql/warnings.ts',
    find: "if (flush !== undefined && flush !== '1') {",
    replace: 'if (flush === undefined) {',
    killedBy: {
      spec: 'test/faults/mysql-crash.spec.ts',
      test: 'does not where commits do not wait, and the boot says so',
    },
  },

  // --- A majority of servers ---
  {
    bug: 'half of the servers are taken for a majority',
    file: 'backends/redlock/quorum-backend.ts',
    find: 'this.#majority = Math.floor(members.length / 2) + 1;',
    replace: 'this.#majority = Math.ceil(members.length / 2);',
    killedBy: votes('two halves of four servers, which cannot reach each other, give no lock to anybody'),
  },
  {
    bug: 'an attempt goes on until all have answered, although they cannot give a majority any more',
    file: 'backends/redlock/campaign.ts',
    find: 'if (votes + open + later + busy < majority)',
    replace: 'if (open === 0 && votes + later + busy < majority)',
    killedBy: votes('that make a majority impossible end the attempt at once, though the others say nothing'),
  },
  {
    bug: 'votes that come after the decision are kept',
    file: 'backends/redlock/contender.ts',
    find: "if (answer.granted || (wait && !('limit' in answer))) node.takeBack(claim).catch(() => undefined);",
    replace: '',
    killedBy: votes('that come late are given back'),
  },
  {
    bug: 'a vote that was given back is asked for again under its old name',
    file: 'backends/redlock/contenders.ts',
    find: 'return ++this.#numbers;',
    replace: 'return 1;',
    killedBy: votes('that were given back are never counted again: their release is on its way'),
  },
  {
    bug: 'a release goes only to the servers that are known to have voted',
    file: 'backends/redlock/contender.ts',
    find: 'return { node, claim, keepMs, held: dirty ? undefined : false };',
    replace: 'return { node, claim, keepMs, held: dirty && seat.until > -Infinity ? undefined : false };',
    killedBy: votes('whose answer was lost are given back, and after a release as well'),
  },
  {
    bug: 'a release is told before the server at which all wait knows of it',
    file: 'backends/redlock/contenders.ts',
    find: 'gate?.answer.catch(() => undefined)',
    replace: 'undefined',
    killedBy: votes(
      'are given back at the server at which all wait before the release is told: whoever asks then is not refused',
    ),
  },
  {
    bug: 'two renewals that miss the same vote take back what the other one brought back',
    file: 'backends/redlock/holding.ts',
    find: 'if (!seat || seat.until > -Infinity || contender.healing.has(seat)) return;',
    replace: 'if (!seat) return;',
    killedBy: votes('gives a forgotten vote back once, though two renewals miss it at the same time'),
  },
  {
    bug: 'a server that does not answer is waited for as long as it takes',
    file: 'backends/redlock/node.ts',
    find: 'let cancel = clock.limit(limitMs, expire);',
    replace: 'let cancel = clock.limit(limitMs * 1_000, expire);',
    killedBy: votes('at which all wait holds them up for its time limit, and once'),
  },
  {
    bug: 'servers are asked for the lease that is believed, whatever their clocks may run apart',
    file: 'backends/redlock/quorum.ts',
    find: 'stretch: Math.max(1, (1 - OWN_DRIFT) / (1 - drift)),',
    replace: 'stretch: 1,',
    killedBy: quorumLeases(
      'with clocks of servers that run as fast as a drift of ten per cent allows for, it has a majority to its end',
    ),
  },
  {
    bug: 'a renewal that two servers refuse and one does not answer counts as a loss',
    file: 'backends/redlock/tally.ts',
    find: 'return this.#no > this.nodes - this.majority ? false : undefined;',
    replace: 'return this.#no >= this.nodes - this.majority ? false : undefined;',
    killedBy: votes('by a majority, each server by itself: two have forgotten it and one is silent'),
  },
  {
    bug: 'a fencing token is given out when one server has stored it',
    file: 'backends/redlock/fencing.ts',
    find: 'await decide(polls, majority);',
    replace: 'await decide(polls, 1);',
    killedBy: quorumLeases(
      'a lock whose token cannot be stored at a majority is not given, and its votes are given back',
    ),
  },
  {
    bug: 'the fencing token stays at the server that gave it',
    file: 'backends/redlock/fencing.ts',
    find: 'if (seat.fencingToken === highest) return true;',
    replace: 'if (highest >= 0n) return true;',
    killedBy: quorumLeases(
      'the token is stored at a majority: the next one, of other servers but one, gets a higher one',
    ),
  },
  {
    bug: 'contenders with half of the votes each keep them',
    file: 'backends/redlock/contenders.ts',
    find: 'contender.splits++;\n    contender.withdrawAll();',
    replace: 'contender.splits++;',
    killedBy: quorumLeases(
      'neither keep each other out nor go on for ever when they stand in line at different servers',
    ),
  },
  {
    bug: 'a renewal that comes to its end after the release asks for votes',
    file: 'backends/redlock/contender.ts',
    find: 'if (this.gone) return { ok: false, error: GIVEN_UP };',
    replace: '',
    killedBy: votes('that is answered by the last server after the release gives no vote back to one that lacks it'),
  },
  {
    bug: 'a server that was restarted empty votes at once',
    file: 'backends/redis/protocol/restart.ts',
    find: 'if restarted > 0 then return',
    replace: 'if false then return',
    killedBy: {
      spec: 'test/faults/redlock.spec.ts',
      test: 'takes no part for the guard, which keeps out a second holder',
    },
  },
];

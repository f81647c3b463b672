import { describe, expect, it } from 'vitest';
import { type Duration, toMilliseconds } from '../../lib/lock/duration.js';
import { LockConfigurationError } from '../../lib/lock/errors.js';

describe('durations', () => {
  it.each<[Duration, number]>([
    [0, 0],
    [1500, 1500],
    [0.5, 0.5],
    ['500ms', 500],
    ['30s', 30_000],
    ['30 s', 30_000],
    ['1.5s', 1_500],
    ['5m', 300_000],
    ['5 min', 300_000],
    ['1h', 3_600_000],
    ['2 hours', 7_200_000],
    ['1d', 86_400_000],
  ])('%s is %d ms', (duration, milliseconds) => {
    expect(toMilliseconds('ttl', duration)).toBe(milliseconds);
  });

  it.each<unknown>([
    -1,
    NaN,
    -Infinity,
    '',
    ' ',
    '30',
    'soon',
    '-5s',
    '5 weeks',
    '1y',
    '5w',
    `${'9'.repeat(200)}s`,
    null,
    undefined,
    true,
    10n.toString() + 'n',
    {},
    [],
    new Date(0),
  ])('%o is not a duration', (nonsense) => {
    expect(() => toMilliseconds('ttl', nonsense as Duration)).toThrow(LockConfigurationError);
  });

  it('the message names the option, what was given, and what would work', () => {
    expect(() => toMilliseconds('wait', '30', true)).toThrow(
      "`wait` is \"30\", which is not a duration. Give milliseconds from 0 up, or a string such as '500ms', '30s', '5m' or '1h', or Infinity.",
    );
    expect(() => toMilliseconds('ttl', NaN)).toThrow(/^`ttl` is NaN, which is not a duration\. Give .* '1h'\.$/);
    expect(() => toMilliseconds('ttl', -5)).toThrow(/^`ttl` is -5,/);
    expect(() => toMilliseconds('ttl', undefined as unknown as Duration)).toThrow(/^`ttl` is undefined,/);
  });

  it('Infinity is a duration only where it makes sense', () => {
    expect(toMilliseconds('wait', Infinity, true)).toBe(Infinity);
    expect(() => toMilliseconds('ttl', Infinity)).toThrow(/^`ttl` is Infinity, which is not a duration/);
  });

  it('a bigint is told, not thrown up on', () => {
    expect(() => toMilliseconds('ttl', 5n as unknown as Duration)).toThrow(LockConfigurationError);
  });
});

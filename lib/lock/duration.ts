import ms from 'ms';
import { LockConfigurationError } from './errors.js';

type Unit = 'ms' | 's' | 'sec' | 'm' | 'min' | 'h' | 'hours' | 'd' | 'days';

/** The durations that editors complete. Every other number with a unit is allowed too. */
type Common = '100ms' | '500ms' | '1s' | '5s' | '10s' | '30s' | '1m' | '5m' | '15m' | '1h' | '1d';

/** Milliseconds, or a number with a unit: `1500`, `'30s'`, `'5 min'`, `'1h'`. */
export type Duration = number | Common | ((`${number}${Unit}` | `${number} ${Unit}`) & Record<never, never>);

/** A `Duration`, or any text that turns out to be one: it comes from a configuration, and is checked when the application starts. */
export type ConfiguredDuration = Duration | (string & Record<never, never>);

/**
 * The duration in milliseconds.
 * @throws LockConfigurationError when it is not a duration, is negative, or is `Infinity` where that makes no sense
 */
export function toMilliseconds(option: string, duration: ConfiguredDuration, allowInfinity = false): number {
  const milliseconds = typeof duration === 'string' ? parse(duration) : duration;
  if (milliseconds === Infinity && allowInfinity) return Infinity;
  if (typeof milliseconds === 'number' && Number.isFinite(milliseconds) && milliseconds >= 0) return milliseconds;
  throw new LockConfigurationError(
    `\`${option}\` is ${typeof duration === 'string' ? JSON.stringify(duration) : String(duration)}, which is not a duration. ` +
      `Give milliseconds from 0 up, or a string such as '500ms', '30s', '5m' or '1h'${allowInfinity ? ', or Infinity' : ''}.`,
  );
}

/** `ms` reads a bare number as milliseconds and knows years; a lock's option with either is a slip of the pen. */
function parse(text: string): number | undefined {
  return /[a-z]\s*$/i.test(text) && !/[wy]/i.test(text) && text.length <= 100 ? ms(text as ms.StringValue) : undefined;
}

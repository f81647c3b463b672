import { LockConfigurationError } from '../../lock/errors.js';
import { checkOptionNames } from '../../lock/option-names.js';

/** What the locks of an application write to its log. You can leave out each part. */
export interface LockLogOptions {
  /**
   * One line when the application has started: the backends, their addresses, the prefix, the number of locked methods. Before it, warnings
   * about a backend although locks work, such as a Redis that may evict them. @default true
   */
  readonly boot?: boolean;
  /** A lock that was lost, with its key and the reason. @default true */
  readonly losses?: boolean;
  /** The first renewal of a held lock that the server did not confirm. @default true */
  readonly renewals?: boolean;
  /** A backend that went away, and that it came back: once each. @default true */
  readonly backends?: boolean;
  /** What the shutdown waits for, and what it released although the work had not ended. @default true */
  readonly shutdown?: boolean;
}

const PARTS = ['boot', 'losses', 'renewals', 'backends', 'shutdown'] as const;
const NAMES: ReadonlySet<string> = new Set(PARTS);

/**
 * Every part, switched on or off.
 * @throws LockConfigurationError when the option is none
 */
export function logParts(log: boolean | LockLogOptions = true): Required<LockLogOptions> {
  if (typeof log !== 'boolean') checkOptionNames('`log`', log, NAMES);
  const isOn = (part: keyof LockLogOptions): boolean => {
    const on: unknown = typeof log === 'boolean' ? log : (log[part] ?? true);
    if (typeof on === 'boolean') return on;
    throw new LockConfigurationError(
      `\`log.${part}\` of DistributedLockModule is ${JSON.stringify(on)}; it is true or false.`,
    );
  };
  return {
    boot: isOn('boot'),
    losses: isOn('losses'),
    renewals: isOn('renewals'),
    backends: isOn('backends'),
    shutdown: isOn('shutdown'),
  };
}

import { createHash } from 'node:crypto';
import { attempt } from './attempt.js';
import { attemptAll } from './attempt-all.js';
import { inbox } from './inbox.js';
import { namesIn, type Names } from './names.js';
import { release } from './release.js';
import { renew } from './renew.js';
import { state } from './state.js';
import { tables } from './tables.js';
import { touch } from './touch.js';

export { nameOf } from './inbox.js';
export { namesIn, type Names, ROUTINES_VERSION, TABLES_VERSION } from './names.js';
export { LONGEST_NAME, tables } from './tables.js';

/** The procedures, without their database and prefix; what is called comes before its callers. */
export const routines = (n: Names): readonly string[] =>
  [state, attempt, attemptAll, touch, release, renew, inbox].flatMap((part) => part(n));

/** Which text a version stands for: a test keeps it from changing unnoticed. */
export const digest = (): string =>
  createHash('sha256')
    .update([...tables(namesIn(undefined, '')), ...routines(namesIn(undefined, ''))].join('\n'))
    .digest('hex')
    .slice(0, 16);

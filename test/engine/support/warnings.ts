import { onTestFinished } from 'vitest';

/** From here to the end of the test: how to have all warnings of the process, which come a turn after what they are about. */
export function noteWarnings(): () => Promise<readonly unknown[]> {
  const warnings: unknown[] = [];
  const note = (warning: unknown): void => void warnings.push(warning);
  process.on('warning', note);
  onTestFinished(() => void process.off('warning', note));
  return async () => {
    await new Promise((resolve) => void setImmediate(resolve));
    return warnings;
  };
}

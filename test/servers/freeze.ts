import { existsSync, readdirSync, readFileSync } from 'node:fs';

/**
 * SIGSTOP, and returns when every thread of the process stands still. On a busy machine that takes a moment, in which a server still
 * answers and a holder still works: what a test does next would be done before the freeze.
 */
export function freeze(pid: number): void {
  process.kill(pid, 'SIGSTOP');
  const threads = `/proc/${pid}/task`;
  // Only Linux tells.
  if (!existsSync(threads)) return;
  for (const deadline = Date.now() + 5_000; !standStill(threads); pause()) {
    if (Date.now() > deadline) throw new Error(`Process ${pid} does not stand still although it was stopped.`);
  }
}

function standStill(threads: string): boolean {
  return readdirSync(threads).every((thread) => {
    try {
      // The state follows the name, which is in parentheses and may be anything.
      return /^[TZX]/.test(readFileSync(`${threads}/${thread}/stat`, 'utf8').split(') ').pop() ?? '');
    } catch {
      // It has ended.
      return true;
    }
  });
}

const never = new Int32Array(new SharedArrayBuffer(4));
const pause = (): unknown => Atomics.wait(never, 0, 0, 1);

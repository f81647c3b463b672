/**
 * Records two pods of which one is killed, and draws what they said as `docs/takeover.svg`. Run it with
 * `node --import @oxc-node/core/register tools/recording/record.ts`; it needs a redis-server. The lines and their times are those of the run.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startRedis } from '../../test/servers/redis.js';
import { draw, type Line } from './draw.js';

const pod = fileURLToPath(new URL('pod.ts', import.meta.url));
const redis = await startRedis({ own: true });
const lines: Line[] = [];
let begunAt = performance.now();
const note = (terminal: 0 | 1, kind: Line['kind'], text: string): void =>
  void lines.push({ terminal, kind, text, at: performance.now() - begunAt });

interface Pod {
  readonly child: ChildProcess;
  readonly said: (text: string) => Promise<void>;
}

async function start(terminal: 0 | 1): Promise<Pod> {
  const child = spawn(process.execPath, ['--import', '@oxc-node/core/register', pod], {
    env: { ...process.env, REDIS_URL: redis.url },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const waiting = new Map<string, () => void>();
  createInterface({ input: child.stdout }).on('line', (text) => {
    if (text !== 'ready') note(terminal, 'said', text);
    for (const [wanted, heard] of waiting) if (text.includes(wanted)) heard();
  });
  const said = (text: string) => new Promise<void>((heard) => waiting.set(text, heard));
  // How long a process takes to start is no part of the recording.
  await said('ready');
  return { child, said };
}

function place(terminal: 0 | 1, { child }: Pod): void {
  note(terminal, 'typed', 'place order 7');
  child.stdin?.write('place\n');
}

try {
  const [a, b] = await Promise.all([start(0), start(1)]);
  begunAt = performance.now();
  place(0, a);
  await a.said('is mine');
  await sleep(700);
  place(1, b);
  await a.said('step 2');
  await sleep(500);
  note(0, 'typed', 'kill -9');
  a.child.kill('SIGKILL');
  await once(a.child, 'exit');
  note(0, 'noted', 'Killed');
  await once(b.child, 'exit');
} finally {
  await redis.stop();
}
for (const { at, terminal, text } of lines) console.log(`${(at / 1_000).toFixed(3)} s  ${'AB'[terminal]}  ${text}`);
writeFileSync(fileURLToPath(new URL('../../docs/takeover.svg', import.meta.url)), draw(lines));

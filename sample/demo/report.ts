import type { Result } from './rush.js';

/** One line that fills while the orders come in; on a terminal in place, elsewhere a line for each quarter. */
export function progressBar(title: string, total: number, out = process.stdout): (done: number) => void {
  const quarter = Math.ceil(total / 4);
  return (done) => {
    const filled = Math.round((done / total) * 30);
    const line = `  ${title.padEnd(16)} ${'█'.repeat(filled)}${'░'.repeat(30 - filled)} ${String(done).padStart(5)} of ${total} orders`;
    if (out.isTTY) out.write(`\r${line}${done === total ? '\n' : ''}`);
    else if (done % quarter === 0 || done === total) out.write(`${line}\n`);
  };
}

export function table(without: Result, locked: Result): string {
  const rows: [string, string | number, string | number][] = [
    ['', 'without a lock', 'with @Locked'],
    ['chairs in stock', without.stock, locked.stock],
    ['chairs sold', without.sold, locked.sold],
    ['sold to two customers or more', without.soldTwice, locked.soldTwice],
    ['orders answered "sold out"', without.soldOut, locked.soldOut],
    ['came to the shelf beside another', without.overlaps, locked.overlaps],
    ['waited for the lock (median)', '-', `${ms(locked.waits[locked.waits.length >> 1])} ms`],
    ['waited for the lock (longest)', '-', `${ms(locked.waits.at(-1))} ms`],
    ['handed over to the next in line', '-', locked.handOvers],
    ['fencing tokens', '-', locked.tokens],
    ['seconds', without.seconds.toFixed(1), locked.seconds.toFixed(1)],
  ];
  return rows
    .map(([what, ...cells]) => `  ${what.padEnd(34)}${cells.map((cell) => String(cell).padStart(16)).join('')}`)
    .join('\n');
}

/** What is wrong with the locks, in words; nothing, if they kept what they promised. */
export function complaints({ stock, sold, soldTwice, failed, tokens, violations }: Result, orders: number): string[] {
  const expected = Math.min(stock, orders);
  return [
    ...(sold === expected ? [] : [`${sold} chairs were sold, and ${expected} would be right.`]),
    ...(soldTwice === 0 ? [] : [`${soldTwice} chairs were sold more than once.`]),
    ...(tokens === orders ? [] : [`${tokens} fencing tokens for ${orders} orders.`]),
    ...failed.map((answer) => `An order failed: ${answer}`),
    ...violations,
  ];
}

const ms = (milliseconds = 0): string => milliseconds.toFixed(milliseconds < 10 ? 1 : 0);

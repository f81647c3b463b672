import type { Claim, KeyBackend } from 'nestjs-distributed-lock/backend';

interface Row {
  owner: string;
  token: bigint;
  ends: number;
}

/** Your server: here a table in memory, with one row for each lock. */
export class Table {
  readonly rows = new Map<string, Row>();
  lastToken = 0n;

  /** The row, unless its lease has ended. */
  live(key: string): Row | undefined {
    const row = this.rows.get(key);
    if (row && row.ends > performance.now()) return row;
    this.rows.delete(key);
    return undefined;
  }
}

export function tableBackend(table: Table): KeyBackend {
  const mine = ({ key, owner }: Claim): Row | undefined => {
    const row = table.live(key);
    return row?.owner === owner ? row : undefined;
  };
  return {
    family: 'key',
    kind: 'table',
    traits: {
      fencing: true,
      // It has no line, so waiters look again from time to time.
      fifo: false,
      modes: ['exclusive'],
      semaphores: false,
      minTtl: 10,
      minHold: true,
      survivesFailover: false,
    },
    async ping() {},
    async attempt(claim) {
      const row = table.live(claim.key);
      if (row && row.owner !== claim.owner) {
        return { granted: false, retryAfterMs: row.ends - performance.now(), holder: row.owner };
      }
      // Sent again by the same owner it gives the same token.
      const token = row?.token ?? ++table.lastToken;
      const ends = Math.max(row?.ends ?? 0, performance.now() + claim.ttl);
      table.rows.set(claim.key, { owner: claim.owner, token, ends });
      return { granted: true, fencingToken: token };
    },
    async renew(claims) {
      return claims.map((claim) => {
        const row = mine(claim);
        // A renewal never makes a lease shorter.
        if (row) row.ends = Math.max(row.ends, performance.now() + claim.ttl);
        return row !== undefined;
      });
    },
    async release(claim, keepMs = 0) {
      const row = mine(claim);
      if (!row) return false;
      // Kept closed, the row belongs to nobody until it ends.
      if (keepMs > 0) table.rows.set(claim.key, { ...row, owner: '', ends: performance.now() + keepMs });
      else table.rows.delete(claim.key);
      return true;
    },
    async inspect(key) {
      const row = table.live(key);
      const holder = row && {
        owner: row.owner,
        fencingToken: row.token,
        remainingMs: row.ends - performance.now(),
      };
      return { mode: 'exclusive', limit: 1, holders: holder ? [holder] : [], waiting: 0 };
    },
    async forceRelease(key) {
      const row = table.live(key);
      table.rows.delete(key);
      return row !== undefined;
    },
    async close() {},
  };
}

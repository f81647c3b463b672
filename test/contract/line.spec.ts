import { afterAll, beforeAll, describe, it } from 'vitest';
import { LineBackend } from '../../lib/backends/line/line-backend.js';
import { describeBackend } from '../../lib/testing/index.js';
import { ZnodeDriver } from './znode-driver.js';
import { ZnodeTree } from './znode-tree.js';

// Proves that the recipe for lines is not etcd's: here a name never changes, a watch fires once, and a place can be replaced.
const tree = new ZnodeTree();

describeBackend(
  'lines on a tree of nodes',
  { describe, it, beforeAll, afterAll },
  {
    create: () => new LineBackend(new ZnodeDriver(tree)),
    ttl: 500,
    faults: { residue: async () => [...tree.folders] },
  },
);

import { describeSessionDeaths } from './support/session-deaths.js';
import { zooKeeperKind } from './support/session-servers.js';

describeSessionDeaths(zooKeeperKind);

import { describeSessionDeaths } from './support/session-deaths.js';
import { etcdKind } from './support/session-servers.js';

describeSessionDeaths(etcdKind);

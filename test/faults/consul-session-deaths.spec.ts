import { describeSessionDeaths } from './support/session-deaths.js';
import { consulKind } from './support/session-servers.js';

describeSessionDeaths(consulKind);

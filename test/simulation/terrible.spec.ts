import { describeSimulation } from './describe-simulation.js';

describeSimulation('terrible');

import { describeSimulation } from './describe-simulation.js';

describeSimulation('good');

import shape from '../../build/validators/experiment.js';
import { checkExperiment, type Experiment } from '../model/experiment.ts';
import { parseFile, readText } from './file.ts';

/** An experiment from a YAML file. */
export function loadExperiment(path: string): Experiment {
  const experiment = parseFile<Experiment>(readText(path, path), shape, path);
  checkExperiment(experiment, path);
  return experiment;
}

import shape from '../../build/validators/sweep.js';
import type { SweepSpec } from '../model/sweep.ts';
import { parseFile, readText } from './file.ts';

/** A sweep from a YAML file. */
export function loadSweep(path: string): SweepSpec {
  return parseFile<SweepSpec>(readText(path, path), shape, path);
}

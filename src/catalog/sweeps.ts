import type { SweepSpec } from '../model/sweep.ts';
import { parseFile, readText } from './file.ts';

/** A sweep from a YAML file. */
export function loadSweep(path: string): SweepSpec {
  return parseFile<SweepSpec>(readText(path, path), 'sweep', path);
}

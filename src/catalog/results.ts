/** Reads results that this tool wrote: whatever is in a file, the answer is a result or one UsageError of one line. */
import explorationShape from '../../build/validators/exploration.js';
import resultShape from '../../build/validators/result.js';
import { UsageError } from '../model/errors.ts';
import type { ExplorationResult } from '../model/exploration.ts';
import type { ComparisonResult } from '../model/result.ts';
import type { GatheredSweep } from '../model/sweep.ts';
import { checkShape, readText } from './file.ts';
import { parseGathered } from './gathered.ts';

/** Bytes of one result. A comparison of every policy on every machine takes a fiftieth of it. */
const MAX_RESULT_BYTES = 1 << 25;

/** A result and which command wrote it. */
export type ReadResult =
  | { readonly kind: 'comparison'; readonly result: ComparisonResult }
  | { readonly kind: 'exploration'; readonly result: ExplorationResult }
  | { readonly kind: 'sweep'; readonly result: GatheredSweep };

/** The result in a file that `compare`, `run` or `explore` wrote with --format json, or `sweep gather` as .ndjson. */
export function readResult(path: string): ReadResult {
  const text = readText(path, path, { what: 'a result in JSON', most: MAX_RESULT_BYTES });
  if (path.endsWith('.ndjson')) return { kind: 'sweep', result: parseGathered(text, path) };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UsageError(`${path}: is not JSON, expected what compare, run or explore write with --format json`);
  }
  const has = (key: string): boolean => typeof value === 'object' && value !== null && Object.hasOwn(value, key);
  if (has('runs')) {
    checkShape(value, resultShape, path);
    return { kind: 'comparison', result: value as ComparisonResult };
  }
  if (has('races')) {
    checkShape(value, explorationShape, path);
    return { kind: 'exploration', result: value as ExplorationResult };
  }
  throw new UsageError(`${path}: has neither runs nor races, expected a result of compare, run or explore`);
}

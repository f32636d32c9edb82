import { version } from '../../build/package.js';
import type { ComparisonResult } from '../model/result.ts';
import { compareJson } from '../report/compare.ts';
import type { Comparison, PlannedTrace } from './plan.ts';

/** The result of a comparison as `compare` writes it with `--format json`: of `iommulator/schema/result.schema.json`. */
export function resultOf(trace: PlannedTrace, comparison: Comparison): ComparisonResult {
  const label = { file: trace.name, sha256: trace.sha256 };
  return compareJson({ ...comparison, label, meta: trace.meta, version });
}

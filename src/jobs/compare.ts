import type { LocatedTrace } from './locate.ts';
import { type CompareRequest, type Comparison, comparisonOf } from './plan.ts';
import { type PoolOptions, runJobs } from './pool.ts';

/** Runs every policy on every machine, and the ideal run of each machine, on one trace. */
export function compareTrace(
  trace: LocatedTrace,
  request: CompareRequest = {},
  options: PoolOptions = {},
): Promise<Comparison> {
  return comparisonOf(trace, request, (jobs) => runJobs(trace, jobs, options));
}

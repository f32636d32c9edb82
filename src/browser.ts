/**
 * What runs where there is no Node: in a browser's worker, or any place that has WebAssembly. `openTrace` takes the bytes
 * of a trace, `compare` does what `compare` of the library does, in its caller's thread, and `resultOf` gives the bytes
 * that the command prints with `--format json`. Shipped policies and machines by name, one's own as objects.
 */

import { type HereOptions, runHere } from './jobs/memory.ts';
import { type CompareRequest, type Comparison, comparisonOf, type PlannedTrace } from './jobs/plan.ts';
import type { RawRun } from './model/result.ts';

export { type CostsSpec, listCatalog, loadCosts, loadMachine, loadPolicy } from './catalog/catalog.ts';
export { type HereOptions, type MemoryOptions, traceOf as openTrace } from './jobs/memory.ts';
export type { CompareRequest, Comparison, PlannedTrace } from './jobs/plan.ts';
export { resultOf } from './jobs/result.ts';
export { Interrupted, TraceError, UsageError } from './model/errors.ts';
export type { MachineSpec } from './model/machine.ts';
export type { PolicySpec } from './model/policy.ts';
export type { ComparisonResult, RunResult } from './model/result.ts';

/** Runs every policy on every machine, and the ideal run of each machine, on one trace. */
export function compare(trace: PlannedTrace, request: CompareRequest, options: HereOptions): Promise<Comparison> {
  return comparisonOf(trace, request, (jobs) => runHere(trace, jobs, options) as Promise<RawRun[]>);
}

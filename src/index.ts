/** The library: what the command line is made of. */
export { type CompareRequest, type Comparison, compareTrace } from './jobs/compare.ts';
export { importFile } from './jobs/import.ts';
export type { Job, ResultOf } from './jobs/job.ts';
export { type LocatedTrace, locateTrace, shippedTraces, useTrace } from './jobs/locate.ts';
export { type PoolOptions, runJobs } from './jobs/pool.ts';
export { Interrupted, TraceError, UsageError } from './model/errors.ts';
export type { RunResult } from './model/result.ts';
export { type CacheShape, type Geometry, parseCache, type TlbConfig, type TlbResult } from './model/tlb.ts';
export type { TraceMeta } from './model/trace.ts';
export { IMPORTERS } from './trace/import/index.ts';
export type { Trace } from './trace/reader.ts';
export { recordsOf, type TraceRecord } from './trace/records.ts';
export { textOf } from './trace/text.ts';

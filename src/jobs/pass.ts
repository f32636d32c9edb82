import { TlbEngine } from '../engine/tlb.ts';
import { Interrupted } from '../model/errors.ts';
import type { Trace } from '../trace/reader.ts';
import type { Job, JobResult } from './job.ts';

/** Called once a chunk with the records done so far; returns whether to stop. */
export type OnChunk = (records: number) => boolean;

/** One pass over `trace`: each chunk is decoded once and given to the engine of every job. */
export function runPass(trace: Trace, jobs: readonly Job[], module: WebAssembly.Module, onChunk: OnChunk): JobResult[] {
  const engines = jobs.map((job) => new TlbEngine(module, job.config, trace.meta));
  let records = 0;
  for (const chunk of trace.chunks()) {
    for (const engine of engines) engine.feed(chunk);
    records += chunk.records;
    if (onChunk(records)) throw new Interrupted('interrupted');
  }
  return engines.map((engine) => ({ kind: 'tlb', result: engine.result() }));
}

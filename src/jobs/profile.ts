import type { TraceProfile } from '../model/profile.ts';
import { profiling } from '../trace/profile.ts';
import { type LocatedTrace, useTrace } from './locate.ts';
import { inTurns, type WorkOptions } from './turns.ts';

/** Looks at every record of a trace once: footprint, reuse distances, changes, lifetimes. */
export function profileTrace(trace: LocatedTrace, options: WorkOptions = {}): Promise<TraceProfile> {
  return useTrace(trace.path, (opened) => inTurns(profiling(opened), trace.meta.counts.records, options));
}

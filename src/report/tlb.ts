import { cacheText, type TlbConfig, type TlbResult } from '../model/tlb.ts';
import type { TraceMeta } from '../model/trace.ts';
import { count, type Grid, percent } from './grid.ts';
import { type TraceLabel, traceResult } from './trace.ts';

/** JSON of `tlb`. */
export function tlbJson(label: TraceLabel, meta: TraceMeta, { l1d, l1i, l2, seed }: TlbConfig, result: TlbResult) {
  const tlbs = { l1d: cacheText(l1d), l1i: cacheText(l1i), l2: cacheText(l2), seed };
  return { format: 1, trace: traceResult(label, meta), tlbs, ...result };
}

/** Rows of `tlb`: one per level. */
export function tlbGrid(result: TlbResult): Grid {
  const levels = [
    ['L1 data', result.l1d],
    ['L1 fetch', result.l1i],
    ['L2', result.l2],
  ] as const;
  return {
    columns: ['level', 'accesses', 'misses', 'miss rate', 'invalidated'],
    rows: levels.map(([name, level]) => [
      name,
      count(level.accesses),
      count(level.misses),
      percent(level.misses, level.accesses),
      count(level.invalidated),
    ]),
  };
}

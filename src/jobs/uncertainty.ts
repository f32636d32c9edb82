import { drawCosts, intervalsOf, rankingsOf, type Uncertainty } from '../model/uncertainty.ts';
import { compareTrace } from './compare.ts';
import { type LocatedTrace, prefixOf } from './locate.ts';
import { type CompareRequest, seedOf } from './plan.ts';
import { type PoolOptions, passThreads } from './pool.ts';

/** All draws together replay as much as this many comparisons of the whole trace, where that leaves each enough. */
const WHOLE_TRACES = 20;
/** Records that each draw replays at least. */
const LEAST_RECORDS = 1 << 14;

/**
 * The comparison that `request` asks for, again under `draws` draws of all costs from their ranges. Beyond twenty
 * draws each replays only the first records of the trace, so that all together are as much work as twenty comparisons.
 */
export async function drawComparisons(
  trace: LocatedTrace,
  request: CompareRequest,
  draws: number,
  options: PoolOptions = {},
): Promise<Uncertainty> {
  const records = trace.meta.counts.records;
  const each = Math.max(LEAST_RECORDS, Math.ceil((records * WHOLE_TRACES) / draws));
  const part = each >= records ? trace : prefixOf(trace, each);
  const threads = passThreads(options.workers);
  try {
    let done = 0;
    const compare = async (settings: readonly string[]) => {
      const onProgress = (share: number): void => options.onProgress?.((done + share) / (draws + 1));
      const comparison = await compareTrace(
        part,
        { ...request, settings: [...(request.settings ?? []), ...settings] },
        { ...options, threads, onProgress },
      );
      done++;
      return comparison;
    };
    const base = await compare([]);
    const rows = [];
    for (let draw = 0; draw < draws; draw++) {
      const costs = Object.entries(drawCosts(base.costs, seedOf(request), draw));
      rows.push((await compare(costs.map(([key, ns]) => `cost.${key}=${ns}`))).results);
    }
    return {
      draws,
      records: part.meta.counts.records,
      recordsOfTrace: records,
      rankings: rankingsOf(base.results, rows),
      intervals: intervalsOf(base.results, rows),
    };
  } finally {
    await threads.end();
  }
}

/** What a sweep would be, before it is run. */
import { runJobs } from '../jobs/pool.ts';
import type { Group, Sweep } from './grid.ts';
import type { Store } from './store.ts';

/** Counts of a sweep, and records to be replayed. */
export interface SweepPlan {
  /** Combinations, and runs that differ: some combinations are the same run. */
  readonly cells: number;
  readonly runs: number;
  readonly done: number;
  /** Records that what is missing replays, ideal runs included. */
  readonly records: number;
  /** Records of one group that was run for the estimate, and what measures it. */
  readonly probe: { readonly records: number; run(): Promise<void> } | undefined;
}

/** Counts what there is to do. Nothing is written. */
export function planSweep(sweep: Sweep, store: Store): SweepPlan {
  const hashes = new Set(sweep.jobs.map(({ hash }) => hash));
  const done = store.exists() ? [...store.done()].filter((hash) => hashes.has(hash)) : [];
  const left = new Set(hashes);
  for (const hash of done) left.delete(hash);
  const missing = left.size;
  let records = 0;
  let smallest: { group: Group; wanted: Set<string>; records: number } | undefined;
  for (const group of sweep.groups) {
    const wanted = new Set(group.jobs.map(({ hash }) => hash).filter((hash) => left.delete(hash)));
    if (wanted.size === 0) continue;
    const work = group.trace.meta.counts.records * (wanted.size + 1);
    records += work;
    if (smallest === undefined || work < smallest.records) smallest = { group, wanted, records: work };
  }
  const probe = smallest && {
    records: smallest.records,
    run: async () => {
      await runJobs(smallest.group.trace, smallest.group.plan(smallest.wanted).runs, { workers: 1 });
    },
  };
  return { cells: sweep.jobs.length, runs: hashes.size, done: hashes.size - missing, records, probe };
}

/** What a sweep would be, before it is run. */
import type { Cell } from '../model/sweep.ts';
import type { Group, Sweep } from './grid.ts';
import { Ideals } from './ideals.ts';
import type { Store } from './store.ts';

/** Counts of a sweep, and records to be replayed. */
export interface SweepPlan {
  /** Combinations, and runs that differ: some combinations are the same run. */
  readonly cells: number;
  readonly runs: number;
  readonly done: number;
  /** Records that what is missing replays, ideal runs included. */
  readonly records: number;
  /** Records of a few groups that are run for the estimate, and what measures it. */
  readonly probe: { readonly records: number; run(): Promise<void> } | undefined;
}

/** Counts what there is to do. Nothing is written. */
export function planSweep(sweep: Sweep, store: Store): SweepPlan {
  const hashes = new Set(sweep.jobs.map(({ hash }) => hash));
  const done = store.exists() ? [...store.done()].filter((hash) => hashes.has(hash)) : [];
  const left = new Set(hashes);
  for (const hash of done) left.delete(hash);
  const missing = left.size;
  const parts = sweep.groups.flatMap((group) => {
    const wanted = new Set(group.jobs.map(({ hash }) => hash).filter((hash) => left.delete(hash)));
    return wanted.size === 0 ? [] : [{ group, wanted }];
  });
  const probe = probeOf(parts);
  const runs = { cells: sweep.jobs.length, runs: hashes.size, done: hashes.size - missing };
  return { ...runs, records: recordsOf(parts), probe };
}

/** A group, and the hashes of its jobs that are to be run. */
interface Part {
  readonly group: Group;
  readonly wanted: ReadonlySet<string>;
}

/** Records that a probe replays, as far as one group allows. */
const PROBE_RECORDS = 1 << 20;

/** As many groups of the shortest trace as a probe takes: a pass over a trace is the cheaper the more runs share it. */
function probeOf(parts: readonly Part[]): SweepPlan['probe'] {
  const shortest = Math.min(...parts.map(({ group }) => group.trace.meta.counts.records));
  const same = parts.filter(({ group }) => group.trace.meta.counts.records === shortest);
  const taken = same.slice(0, 1);
  if (taken.length === 0) return undefined;
  const { trace } = taken[0]!.group;
  for (const part of same.slice(1))
    if (part.group.trace === trace && recordsOf([...taken, part]) <= PROBE_RECORDS) taken.push(part);
  return {
    records: recordsOf(taken),
    run: async () => {
      const runs = taken.flatMap(({ group, wanted }) => group.plan(wanted).runs);
      await new Ideals().run(trace, runs, { workers: 1 });
    },
  };
}

/** Records that the parts replay; those that differ in their policies only share an ideal run. */
function recordsOf(parts: readonly Part[]): number {
  const ideals = new Set<string>();
  return parts.reduce((records, { group, wanted }) => {
    const before = ideals.size;
    ideals.add(machineOf(group.jobs[0]!.cell));
    return records + group.trace.meta.counts.records * (wanted.size + ideals.size - before);
  }, 0);
}

/** All of a cell but its policy, and what is set of it. */
function machineOf(cell: Cell): string {
  return JSON.stringify(Object.entries(cell).filter(([axis]) => axis !== 'policy' && !axis.startsWith('policy.')));
}

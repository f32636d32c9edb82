import { MachineEngine } from '../engine/machine.ts';
import { PATH_NAMES, type PathName, RECLAIM_BATCH } from '../model/path.ts';
import { flatSteps } from '../model/policy.ts';
import type { RawRun } from '../model/result.ts';
import { DEFAULT_LOOKAHEAD, type RunSetup } from '../model/run.ts';
import { ADVICE, type EventName, MAP_FLAG, NO_TALLY, PROT, RUN_OPS } from '../model/trace.ts';
import { codec } from '../trace/input.ts';
import { engineModule } from '../trace/module.ts';
import { openTrace, type Trace } from '../trace/reader.ts';
import { TraceWriter } from '../trace/writer.ts';
import { DEFAULTS } from './compare-space.ts';
import { loadPairs } from './pairs.ts';
import { inTurns, type WorkOptions } from './turns.ts';

/** What a CPU does in a probe: it uses a page, or changes its address space. */
export type Act =
  | { readonly access: (typeof RUN_OPS)[number]; readonly vpn: number }
  | { readonly event: Exclude<EventName, 'switch'>; readonly fields: readonly number[] };

/** A small program that runs one path and, besides, only faults. */
export interface Probe {
  readonly acts: readonly Act[];
  /** Of memory: null is enough for all, so that nothing is reclaimed. */
  readonly frames: number | null;
}

const access = (access: (typeof RUN_OPS)[number], ...vpns: number[]): Act[] => vpns.map((vpn) => ({ access, vpn }));
const event = (event: Exclude<EventName, 'switch'>, ...fields: number[]): Act[] => [{ event, fields: [0, ...fields] }];
const upTo = (first: number, end: number): number[] => Array.from({ length: end - first }, (_, i) => first + i);

/** Pages of one batch. The next ones make memory short, and calls that change nothing give reclaim the time to end. */
const BATCH = upTo(5000, 5000 + RECLAIM_BATCH);
const PRESSURE = [
  ...access('write', 6000, 6001),
  ...upTo(0, 3000).flatMap(() => event('mmap', 9000, 9001, PROT.read, 0)),
];
/** Reclaim begins below 32 free frames, and one batch is enough for it. */
const FEW = 64;
const LAZY = [...access('write', ...BATCH), ...BATCH.flatMap((vpn) => event('madvise', vpn, vpn + 1, ADVICE.free))];

const mapped = (flags: number): Act[] => event('mmap', 10, 12, PROT.read | PROT.write, flags);
const file = (flag: number): Act[] => mapped(MAP_FLAG.file | flag);

/** A probe of each path. A range is one page, reclaim one batch. */
export const PROBES: Readonly<Record<PathName, Probe>> = {
  reclaim_swap: { acts: [...access('write', ...BATCH), ...PRESSURE], frames: FEW },
  reclaim_file: {
    acts: [
      ...event('mmap', BATCH[0]!, BATCH[0]! + RECLAIM_BATCH, PROT.read | PROT.write, MAP_FLAG.file),
      ...access('read', ...BATCH),
      ...PRESSURE,
    ],
    frames: FEW,
  },
  reclaim_lazyfree: { acts: [...LAZY, ...PRESSURE], frames: FEW },
  reclaim_redirtied: { acts: [...LAZY, ...access('write', ...BATCH), ...PRESSURE], frames: FEW },
  reclaim_mismatch: {
    acts: [...access('write', ...BATCH), ...event('mismatch', BATCH[0]!, BATCH[0]! + RECLAIM_BATCH), ...PRESSURE],
    frames: FEW,
  },
  reclaim_unused: {
    acts: [...access('write', ...BATCH), ...event('unused', BATCH[0]!, BATCH[0]! + RECLAIM_BATCH), ...PRESSURE],
    frames: FEW,
  },
  hwpoison: { acts: [...access('write', 10, 11), ...event('poison', 10, 12)], frames: null },
  cow: { acts: [...access('read', 10, 11, 12), ...access('write', 10, 11, 12)], frames: null },
  munmap: { acts: [...access('write', 10), ...event('munmap', 10, 11)], frames: null },
  munmap_dirty: {
    acts: [...file(MAP_FLAG.shared), ...access('write', 10), ...event('munmap', 10, 11)],
    frames: null,
  },
  dontneed: { acts: [...access('write', 10), ...event('madvise', 10, 11, ADVICE.dontneed)], frames: null },
  madv_free: { acts: [...access('write', 10), ...event('madvise', 10, 11, ADVICE.free)], frames: null },
  mprotect: { acts: [...access('write', 10), ...event('mprotect', 10, 11, PROT.read)], frames: null },
  mremap: {
    acts: [...access('write', 10), ...event('mremap', 10, 11, 700, 701), ...access('write', 700)],
    frames: null,
  },
  fork: { acts: [...access('write', 10), ...event('fork', 10, 11)], frames: null },
  clear_refs: { acts: [...access('write', 10), ...event('clearRefs', 10, 11)], frames: null },
  page_mkclean: {
    acts: [...file(MAP_FLAG.shared), ...access('write', 10, 11), ...event('writeback', 10, 12)],
    frames: null,
  },
  uprobe: { acts: [...file(0), ...access('fetch', 10, 11), ...event('uprobe', 10, 12)], frames: null },
  ksm_write_protect: { acts: [...access('write', 10, 11), ...event('merge', 10, 12)], frames: null },
  ksm_replace: { acts: [...access('write', 10, 11), ...event('merge', 10, 12)], frames: null },
  migrate: { acts: [...access('write', 10, 11), ...event('migrate', 10, 12)], frames: null },
  migrate_vma: { acts: [...access('write', 10, 11), ...event('migrateVma', 10, 12)], frames: null },
  migrate_insert: { acts: [...access('read', 10, 11), ...event('migrateVma', 10, 12)], frames: null },
  numa_hint: { acts: [...access('write', 10), ...event('numaHint', 10, 11)], frames: null },
  numa_migrate: {
    acts: [
      ...mapped(MAP_FLAG.huge),
      ...access('write', 10),
      ...event('numaHint', 10, 11),
      ...event('numaMigrate', 10, 11),
    ],
    frames: null,
  },
  thp_split: { acts: [...mapped(MAP_FLAG.huge), ...access('write', 10), ...event('split', 10, 11)], frames: null },
  thp_split_file: { acts: [...file(0), ...access('read', 10), ...event('split', 10, 11)], frames: null },
  thp_cow: { acts: [...mapped(MAP_FLAG.huge), ...access('read', 10, 11), ...access('write', 10, 11)], frames: null },
  thp_collapse: { acts: [...access('write', 10), ...event('collapse', 10, 11)], frames: null },
  hugetlb_cow: {
    acts: [...mapped(MAP_FLAG.hugetlb), ...access('write', 10), ...event('fork', 10, 11), ...access('write', 10)],
    frames: null,
  },
  hugetlb_protect: {
    acts: [...mapped(MAP_FLAG.hugetlb), ...access('write', 10), ...event('mprotect', 10, 11, PROT.read)],
    frames: null,
  },
  hugetlb_unshare: {
    acts: [...mapped(MAP_FLAG.hugetlb), ...access('write', 10), ...event('unshare', 10, 11)],
    frames: null,
  },
  exit: { acts: [...access('write', 10), ...event('exit')], frames: null },
};

/** The acts of one CPU as a trace in memory, or of several that all do the same. */
export function traceOfActs(acts: readonly Act[], cpus = 1): Trace {
  const parts: Uint8Array[] = [];
  const writer = new TraceWriter({ write: (bytes) => parts.push(bytes.slice()) }, codec, false);
  writer.space('probe', 'mm');
  for (let cpu = 0; cpu < cpus; cpu++) writer.agent(`cpu${cpu}`, 'cpu', 0);
  for (const act of acts) {
    for (let cpu = 0; cpu < cpus; cpu++) {
      if ('access' in act) writer.access(cpu, RUN_OPS.indexOf(act.access), act.vpn, false);
      else writer.event(cpu, act.event, act.fields, 0);
    }
  }
  writer.finish({ source: { format: 'probe', file: 'probe' }, tally: NO_TALLY, inferred: [] });
  const bytes = Buffer.concat(parts);
  return openTrace({ size: bytes.length, read: (at, length) => bytes.subarray(at, at + length) }, codec, 'probe');
}

/** Two CPUs write the same page, which is mapped read-only: the slower one finds under the lock that pte_same() fails. */
const RACE: readonly Act[] = [...access('read', 10), ...access('write', 10)];

/** What one path did in its probe, or the one branch of a path that takes two CPUs. */
export interface ProbeCount {
  readonly path: PathName | 'cow (lost race)';
  readonly policy: string;
  readonly pages: number;
  readonly invalidations: number;
  /** The list has an invalidation of the whole address space. */
  readonly whole: boolean;
}

/** Runs the probe of each path under each policy on one machine, with no device, and counts. */
export function countInvalidations(
  policies: readonly string[] = DEFAULTS.policies,
  machine = 'amd-v2',
  options: WorkOptions = {},
): Promise<ProbeCount[]> {
  return inTurns(counting(policies, machine), PATH_NAMES.length, options);
}

/** Yields the paths done so far. */
function* counting(policies: readonly string[], machine: string): Generator<number, ProbeCount[]> {
  const { costs, pairs } = loadPairs({ policies, machines: [machine] }, DEFAULTS, 'mm');
  const countsOf = (path: PathName): ProbeCount[] => {
    const { acts, frames } = PROBES[path];
    const trace = traceOfActs(acts);
    const counts = pairs.map(({ policy, machine }): ProbeCount => {
      const { paths } = run({ ...QUIET, policy, machine, costs, frames }, trace);
      const { pages, invalidations } = paths[path]!;
      const whole = flatSteps(policy.mm!.paths[path]).some(({ word }) => word === 'SI*');
      return { path, policy: policy.name, pages, invalidations, whole };
    });
    if (path !== 'cow') return counts;
    const race = traceOfActs(RACE, 2);
    const lost = pairs.map(({ policy, machine }, i): ProbeCount => {
      const { count, invalidations } = run({ ...QUIET, policy, machine, costs, frames, cpus: 2 }, race).paths.cow!;
      const won = counts[i]!.invalidations / counts[i]!.pages;
      return { ...counts[i]!, path: 'cow (lost race)', pages: count - 1, invalidations: invalidations - won };
    });
    return [...counts, ...lost];
  };
  const all: ProbeCount[] = [];
  for (const [i, path] of PATH_NAMES.entries()) {
    all.push(...countsOf(path));
    yield i + 1;
  }
  return all;
}

const QUIET = { seed: 1, device: null, ideal: false, cpus: 1, lookahead: DEFAULT_LOOKAHEAD } as const;

function run(setup: RunSetup, trace: Trace): RawRun {
  const engine = new MachineEngine(engineModule(), setup, trace.meta);
  for (const chunk of trace.chunks()) engine.feed(chunk, undefined);
  return engine.finish();
}

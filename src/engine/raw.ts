import type { Distribution, RawRun } from '../model/result.ts';
import { type Numbers, OCCASION_PATH } from './encode.ts';
import type { Instance } from './load.ts';

/** What the module exports for the statistics of a run. */
export interface RunExports {
  attend(consumer: number): void;
  causesAt(): number;
  countersAt(): number;
  deviceCountersAt(device: number): number;
  firstAt(): number;
  histogramAt(which: number): number;
  percentile(which: number, perMille: number): number;
  openWindowCount(): number;
}

const WORD = 2 ** 32;

const COUNTERS = [
  'N_L1I_MISS',
  'N_L1D_MISS',
  'N_L2_HIT',
  'N_L2_MISS',
  'N_WALK_CACHE_HIT',
  'N_WALK_CACHE_MISS',
  'N_WALKS',
  'N_WALK_REFS',
  'N_FAULTS',
  'N_IOTLB_HIT',
  'N_IOTLB_MISS',
  'N_DEVICE_HIT',
  'N_DEVICE_MISS',
  'N_CONTEXT_HIT',
  'N_CONTEXT_MISS',
  'N_PASID_HIT',
  'N_PASID_MISS',
  'N_PAGE_REQUESTS',
  'N_DEVICE_FAULTS',
  'N_DMA',
  'N_DMA_LATE',
  'N_IOTLB_PAGE',
  'N_IOTLB_RANGE',
  'N_IOTLB_PASID',
  'N_IOTLB_DOMAIN',
  'N_IOTLB_GLOBAL',
  'N_DEVICE_TLB',
  'N_WAIT',
  'N_CPU_PAGE',
  'N_CPU_FULL',
  'N_IPI',
  'N_DEFERRED',
  'N_SECONDARY',
  'N_OVER',
  'N_UNMAPPED',
  'N_RECLAIMED',
  'N_STALE',
  'N_IN_FLIGHT',
  'N_ALLOWED',
  'N_S1_READ',
  'N_S1_WRITE',
  'N_S2',
  'N_S3',
  'N_S4',
  'N_S5',
  'N_EXPOSED',
  'N_WINDOWS_EMPTY',
  'N_CPU_PENDING',
  'N_CPU_STALE',
  'N_CPU_LATE',
  'N_SWAP_INS',
  'N_COMPUTE',
  'N_LOCK_WAITS',
  'N_ACTIVATIONS',
  'N_LOCK_WAIT_PS',
  'N_QUEUE_WAIT_PS',
  'N_DEVICE_STALL_PS',
  'N_MMAP_WAIT_PS',
  'N_SKIPPED',
  'N_FAULT_RETRIES',
  'N_PRI_GROUPS',
  'N_PRQ_OVERFLOWS',
  'N_PRQ_DROPPED',
  'N_AUTO_ANSWERS',
  'N_PAGE_RESPONSES',
  'N_CALLBACK_PS',
  'N_REFUSED',
  'N_ABORTED',
  'N_RETRIES',
  'N_EVENTS',
  'N_STRANGE',
] as const; // prettier-ignore

const CAUSES = [
  'compute',
  'l2',
  'walk',
  'fault',
  'page_io',
  'page_copy',
  'syscall',
  'notifier',
  'lock',
  'lock_wait',
  'pte',
  'rmap',
  'cpu_flush',
  'ipi',
  'interrupted',
  'submit',
  'wait',
  'defer',
  'frame_wait',
  'reclaim',
  'free',
  'queue_wait',
  'device',
  'translation',
  'device_walk',
  'page_request',
  'activate',
] as const; // prettier-ignore

const HISTOGRAMS = {
  window: 'H_WINDOW',
  exposed: 'H_EXPOSED',
  cpuWindow: 'H_CPU_WINDOW',
  lockHold: 'H_LOCK_HOLD',
} as const;

/** Which of its numbers a kind of run has. */
export interface Counted {
  /** Counters that a result names, by the engine's constant. */
  readonly counters: readonly string[];
  readonly causes: readonly string[];
  /** Row of each path in the tables of paths. */
  readonly paths: Readonly<Record<string, number>>;
}

/** Those of an address space. */
export function countedOfSpace(numbers: Numbers): Counted {
  const paths = Object.entries(OCCASION_PATH).map(([occasion, path]) => [path, numbers(occasion)] as const);
  return { counters: COUNTERS, causes: CAUSES, paths: Object.fromEntries(paths) };
}

/** Whose counters an engine has: those of a machine, and of several devices behind its IOMMU. */
export interface Counting {
  readonly name: string;
  readonly devices: number;
}

/** Everything that an engine has counted in a run of so many agents that took so many picoseconds. */
export function readRun(
  { exports, memory }: Instance<RunExports>,
  numbers: Numbers,
  { counters, causes, paths }: Counted,
  { elapsed, agents, consumers = [ALONE] }: { elapsed: number; agents: number; consumers?: readonly Counting[] },
): RawRun {
  const view = new DataView(memory.buffer);
  // u64 columns as doubles.
  const wide =
    (at: number): Table =>
    (index: number): number =>
      view.getUint32(at + index * 8, true) + view.getUint32(at + index * 8 + 4, true) * WORD;
  const several = consumers.length > 1;
  let numbered = 0;
  const tables = consumers.map(({ name, devices }, i) => {
    if (several) exports.attend(i);
    const ofDevices = Array.from({ length: devices > 1 ? devices : 0 }, (_, device) => ({
      device: numbered + device,
      table: wide(exports.deviceCountersAt(device)),
    }));
    numbered += devices;
    const all = sumOf([wide(exports.countersAt()), ...ofDevices.map(({ table }) => table)]);
    return { name, ofDevices, all };
  });
  const counter = sumOf(tables.map(({ all }) => all));
  const named = (table: Table): Record<string, number> =>
    Object.fromEntries(counters.map((name) => [name, table(numbers(name))]));
  const rows = Object.entries(paths).map(([path, row]) => {
    const read = (name: string): number => counter(numbers(name) + row);
    const [count, pages] = [read('N_PATH_COUNT'), read('N_PATH_PAGES')];
    return [path, { count, pages, invalidations: read('N_PATH_SECONDARY'), ps: read('N_PATH_PS') }] as const;
  });
  const distribution = (which: number): Distribution => {
    const cell = wide(exports.histogramAt(which));
    const p50 = exports.percentile(which, 500);
    const p99 = exports.percentile(which, 990);
    return { count: cell(0), sum: cell(1), p50, p99, max: cell(2) };
  };
  return {
    elapsed,
    causes: causesOf(causes, wide(exports.causesAt()), agents, numbers),
    counters: named(counter),
    ...(several && {
      consumers: tables.map(({ name, all }) => ({ machine: name, counters: named(all) })),
    }),
    ...(tables.some(({ ofDevices }) => ofDevices.length > 0) && {
      devices: tables.flatMap(({ name, ofDevices }) =>
        ofDevices.map(({ device, table }) => ({ machine: name, device, counters: named(table) })),
      ),
    }),
    paths: Object.fromEntries(rows),
    distributions: Object.fromEntries(
      Object.entries(HISTOGRAMS).map(([key, name]) => [key, distribution(numbers(name))] as const),
    ),
    openAtEnd: exports.openWindowCount(),
    first: firstOf(wide(exports.firstAt())),
  };
}

/** Numbers of the engine by their places. */
type Table = (index: number) => number;
const ALONE: Counting = { name: '', devices: 1 };

function sumOf(tables: readonly Table[]): Table {
  return (index) => tables.reduce((sum, table) => sum + table(index), 0);
}

function causesOf(
  causes: readonly string[],
  cell: (index: number) => number,
  agents: number,
  numbers: Numbers,
): Record<string, number> {
  const stride = numbers('CAUSES');
  const sums: Record<string, number> = {};
  for (const name of causes) {
    const index = numbers(`CAUSE_${name.toUpperCase()}`);
    let sum = 0;
    for (let agent = 0; agent < agents; agent++) sum += cell(agent * stride + index);
    sums[name] = sum;
  }
  return sums;
}

function firstOf(cell: (index: number) => number): RawRun['first'] {
  if (cell(0) === 0) return null;
  return { property: cell(0), page: cell(1), changed: cell(2), at: cell(3), agent: cell(4), record: cell(5) };
}

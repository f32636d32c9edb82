import type { Distribution, RawRun } from '../model/result.ts';

/** Counters of a run that a result names. */
export const COUNTERS = [
  'L1I_MISS', 'L1D_MISS', 'L2_HIT', 'L2_MISS', 'WALK_CACHE_HIT', 'WALK_CACHE_MISS', 'WALKS', 'WALK_REFS', 'FAULTS',
  'IOTLB_HIT', 'IOTLB_MISS', 'DEVICE_HIT', 'DEVICE_MISS', 'CONTEXT_HIT', 'CONTEXT_MISS', 'PASID_HIT', 'PASID_MISS', 'PAGE_REQUESTS', 'DEVICE_FAULTS', 'DMA', 'DMA_LATE',
  'IOTLB_PAGE', 'IOTLB_RANGE', 'IOTLB_PASID', 'IOTLB_DOMAIN', 'IOTLB_GLOBAL', 'DEVICE_TLB', 'WAIT', 'CPU_PAGE',
  'CPU_FULL', 'IPI', 'DEFERRED', 'SECONDARY', 'OVER', 'UNMAPPED', 'RECLAIMED', 'STALE', 'IN_FLIGHT', 'ALLOWED',
  'S1_READ', 'S1_WRITE', 'S2', 'S3', 'S4', 'S5', 'EXPOSED', 'WINDOWS_EMPTY', 'CPU_STALE', 'CPU_LATE', 'CPU_PENDING', 'SWAP_INS', 'COMPUTE',
  'LOCK_WAITS', 'ACTIVATIONS', 'LOCK_WAIT_PS', 'QUEUE_WAIT_PS', 'DEVICE_STALL_PS', 'MMAP_WAIT_PS', 'SKIPPED', 'FAULT_RETRIES',
  'PRI_GROUPS', 'PRQ_OVERFLOWS', 'PRQ_DROPPED', 'AUTO_ANSWERS', 'PAGE_RESPONSES', 'CALLBACK_PS',
  'REFUSED', 'ABORTED', 'RETRIES', 'EVENTS', 'STRANGE',
] as const; // biome-ignore format: a table
/** Counters of a run of a DMA recording that a result names. */
export const DMA_COUNTERS = [
  'WALK_CACHE_HIT', 'WALK_CACHE_MISS', 'WALKS', 'WALK_REFS', 'IOTLB_HIT', 'IOTLB_MISS', 'DEVICE_HIT', 'DEVICE_MISS',
  'CONTEXT_HIT', 'CONTEXT_MISS', 'PASID_HIT', 'PASID_MISS',
  'DEVICE_FAULTS', 'DMA', 'IOTLB_PAGE', 'IOTLB_RANGE', 'IOTLB_PASID', 'IOTLB_DOMAIN', 'IOTLB_GLOBAL', 'DEVICE_TLB',
  'WAIT', 'SECONDARY', 'OVER', 'UNMAPPED', 'MAPPED', 'STALE', 'IN_FLIGHT', 'S1_READ', 'S1_WRITE', 'S6', 'S7', 'SPURIOUS',
  'MISDIRECTED', 'SHARED', 'EXPOSED', 'WINDOWS_EMPTY', 'QUEUED', 'QUEUE_FULL', 'QUEUE_TIMER', 'IOVA_SLOW', 'IOVA_REUSED',
  'LOCK_WAITS', 'QUEUE_WAIT_PS', 'IOVA_WAIT_PS', 'DEVICE_STALL_PS', 'REFUSED', 'ABORTED', 'RETRIES', 'EVENTS', 'STRANGE',
] as const; // biome-ignore format: a table
export type Counter = (typeof COUNTERS)[number] | (typeof DMA_COUNTERS)[number];

/** What an agent's time went into. Idle time is no work. */
export const CAUSES = [
  'compute', 'l2', 'walk', 'fault', 'page_io', 'page_copy', 'syscall', 'notifier', 'lock', 'lock_wait', 'pte', 'rmap',
  'cpu_flush', 'ipi', 'interrupted', 'submit', 'wait', 'defer', 'frame_wait', 'reclaim', 'free', 'queue_wait', 'device',
  'translation', 'device_walk', 'page_request', 'activate',
] as const; // biome-ignore format: a table
/** The same of a run of a DMA recording. */
export const DMA_CAUSES = [
  'lock_wait', 'pte', 'submit', 'wait', 'queue_wait', 'device', 'translation', 'device_walk', 'iova', 'flush_queue',
  'exit',
] as const; // biome-ignore format: a table
export type Cause = (typeof CAUSES)[number] | (typeof DMA_CAUSES)[number] | 'idle';

/** Durations that a run measures. */
export type Durations = 'window' | 'exposed' | 'cpuWindow' | 'lockHold';

/** What one path did; time in picoseconds. */
export type PathCounts = { -readonly [Key in keyof RawRun['paths'][string]]: RawRun['paths'][string][Key] };

/** Everything that is counted in one run of the reference. */
export class Counts {
  private readonly counters = new Map<Counter, number>();
  private readonly rows: Map<Counter, number>[] = [];
  private readonly deviceRows = new Map<string, Map<Counter, number>>();
  /** Number of the consumer for which something is done: it is counted as its, too. */
  actor = 0;
  /** Which of several devices behind one IOMMU does something, or has it done to its TLB: it is counted as its, too. */
  device: number | null = null;
  readonly paths: ReadonlyMap<string, PathCounts>;
  private readonly durations: Record<Durations, number[]> = { window: [], exposed: [], cpuWindow: [], lockHold: [] };
  /** What has happened how often, in words: tests ask that everything does. */
  readonly reached: Record<string, number> = {};
  first: RawRun['first'] = null;

  constructor(paths: readonly string[]) {
    this.paths = new Map(paths.map((name) => [name, { count: 0, pages: 0, invalidations: 0, ps: 0 }]));
  }

  add(counter: Counter, n = 1): void {
    this.counters.set(counter, (this.counters.get(counter) ?? 0) + n);
    this.rows[this.actor] ??= new Map();
    const row = this.rows[this.actor]!;
    row.set(counter, (row.get(counter) ?? 0) + n);
    if (this.device === null) return;
    const key = `${this.actor}.${this.device}`;
    const own = this.deviceRows.get(key) ?? new Map<Counter, number>();
    this.deviceRows.set(key, own.set(counter, (own.get(counter) ?? 0) + n));
  }

  /** Does something to a device, or for it. */
  on(device: number, act: () => void): void {
    const home = this.device;
    this.device = device;
    act();
    this.device = home;
  }

  of(counter: Counter): number {
    return this.counters.get(counter) ?? 0;
  }

  /** What was counted for a consumer. */
  ofConsumer(number: number, counter: Counter): number {
    return this.rows[number]?.get(counter) ?? 0;
  }

  /** What was counted for a device of a consumer. */
  ofDevice(consumer: number, device: number, counter: Counter): number {
    return this.deviceRows.get(`${consumer}.${device}`)?.get(counter) ?? 0;
  }

  reach(what: string): void {
    this.reached[what] = (this.reached[what] ?? 0) + 1;
  }

  /** Counts of a path; a fault that invalidates nothing has none. */
  path(name: string): PathCounts {
    return this.paths.get(name) ?? { count: 0, pages: 0, invalidations: 0, ps: 0 };
  }

  lasted(what: Durations, ps: number): void {
    this.durations[what].push(ps);
  }

  distributions(): Record<Durations, Distribution> {
    const entries = Object.entries(this.durations).map(([what, list]) => [what, distribution(list)]);
    return Object.fromEntries(entries) as Record<Durations, Distribution>;
  }
}

/** Nearest rank, then the upper bound of the bucket: 32 to a power of two. */
function distribution(durations: readonly number[]): Distribution {
  const sorted = durations.toSorted((a, b) => a - b);
  const max = sorted.at(-1) ?? 0;
  const percentile = (share: number): number => {
    const rank = Math.ceil((sorted.length * share) / 1000);
    return rank === 0 ? 0 : Math.min(bucketEnd(sorted[rank - 1]!), max);
  };
  const sum = sorted.reduce((total, ps) => total + ps, 0);
  return { count: sorted.length, sum, p50: percentile(500), p99: percentile(990), max };
}

function bucketEnd(ps: number): number {
  let width = 1;
  while (ps >= width * 64) width *= 2;
  return ps < 32 ? ps : (Math.floor(ps / width) + 1) * width - 1;
}

/** What a run is: simulated numbers only, exact, to be compared with `==`. Keys are those of the JSON result. */

import type { Cost } from './cost.ts';
import type { Uncertainty } from './uncertainty.ts';

/** Grows whenever any simulated number changes for unchanged input. */
export const MODEL = 17;

/** A distribution of durations. Percentiles are upper bounds of buckets of 1/32 of a power of two; `max` is exact. */
export interface Distribution {
  readonly count: number;
  readonly sum: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Lookups of one cache. */
export interface HitsAndMisses {
  readonly hits: number;
  readonly misses: number;
}

/** What one kernel path did. */
export interface PathCost {
  readonly count: number;
  readonly pages: number;
  /** Of the secondary MMU, deferred ones included. */
  readonly invalidations: number;
  readonly added_ns: number;
}

/** What became of page requests that went through the IOMMU's queue. */
export interface PageRequestCounts {
  /** Groups that the device sent. */
  readonly groups: number;
  /** Commands of the driver that answered one. */
  readonly responses: number;
  /** Times that the queue was full. */
  readonly overflows: number;
  /** Requests that were dropped then. */
  readonly dropped: number;
  /** Groups that the IOMMU answered itself: with success, so that the device asks again, or with failure, where the queue is off. */
  readonly auto_answered: number;
}

/** The `cost` object of a result. */
export interface RunCost {
  readonly elapsed_ns: number;
  readonly work_ns: number;
  readonly overhead_ns: number;
  readonly vs_baseline: number;
  readonly added_per_page_ns: number;
  readonly added_by_cause: Readonly<Record<string, number>>;
  readonly paths: Readonly<Record<string, PathCost>>;
  readonly device_stall_ns: number;
  readonly lock_wait_ns: number;
  readonly lock_hold_ns: Distribution;
  readonly locks: Readonly<Record<string, number>>;
  readonly invalidations: Readonly<Record<string, number>>;
  /** Secondary invalidations asked for per page of `pagesOf`. */
  readonly invalidations_per_page: number;
  readonly over_invalidated: number;
  readonly tlb: Readonly<Record<string, HitsAndMisses>>;
  readonly walks: number;
  readonly walk_refs: number;
  readonly faults: number;
  readonly page_requests: number;
  /** Where page requests go through a queue. */
  readonly pri?: PageRequestCounts;
  /** Device accesses that were denied. */
  readonly device_faults: number;
  /** IOVAs handed out: from a magazine, or from the tree. */
  readonly iovas: { readonly magazine: number; readonly tree: number };
  readonly pages_unmapped: number;
  readonly pages_reclaimed: number;
  readonly dma: number;
  /** Share of device accesses on pages unmapped or reclaimed shortly before. */
  readonly dma_late_share: number;
  readonly assumed_costs: readonly string[];
}

/** The first use that broke a property. */
export interface FirstViolation {
  readonly property: string;
  readonly page: string;
  readonly change_at_ns: number;
  readonly use_record: number;
  readonly agent: string;
  readonly at_ns: number;
}

/**
 * Pages that numbers per page are of: those that lost their translation, or where none did, as under KSM and write-back, those
 * that a path has changed.
 */
export function pagesOf({
  pages_unmapped,
  paths,
}: Pick<RunCost, 'pages_unmapped'> & {
  readonly paths: Readonly<Record<string, { readonly pages: number }>>;
}): number {
  return pages_unmapped || Object.values(paths).reduce((sum, { pages }) => sum + pages, 0);
}

/** What a run says about its policy, on this trace; from good to bad. */
export const VERDICTS = ['safe', 'exposed', 'unsafe'] as const;
export type Verdict = (typeof VERDICTS)[number];

/** The `safety` object of a result. */
export interface RunSafety {
  readonly verdict: Verdict;
  /** No present page was refused. */
  readonly available: boolean;
  /** Device accesses to present pages that an entry of the IOTLB refused: caching mode without invalidation of maps. */
  readonly faults_spurious: number;
  /** Properties that this run looked at; a violation of another is not to be seen in it. */
  readonly checked: readonly string[];
  readonly stale_uses: number;
  readonly in_flight_uses: number;
  /** After dma_unmap returned, of a frame that another live mapping of the domain covers. */
  readonly shared_frame_uses: number;
  /** Accesses to an IOVA that belonged to another mapping by then. */
  readonly misdirected: number;
  readonly allowed_races: number;
  /** Obligation points that a reachable old copy survived. */
  readonly exposures: number;
  readonly violations: Readonly<Record<string, number>>;
  readonly window_ns: Distribution;
  readonly exposed_ns: Distribution;
  readonly cpu_window_ns: Distribution;
  /** Of an address space: CPU accesses by TLB entries that a call which has returned should have ended. */
  readonly cpu_late_uses?: number;
  readonly windows_empty: number;
  readonly open_at_end: number;
  readonly first: FirstViolation | null;
}

/** How far a run has followed the schedule of its trace, in steps. */
export interface FollowedSchedule {
  readonly taken: number;
  /** Their agent waited, or was at its end: under another policy it has other steps. */
  readonly passed: number;
  /** Behind the schedule, in the order of clocks. */
  readonly after: number;
}

/** What became of accesses of devices, of one consumer or of one device; as in `cost` and `safety`. */
interface AccessCounts {
  readonly over_invalidated: number;
  readonly tlb: Readonly<Record<string, HitsAndMisses>>;
  readonly dma: number;
  readonly device_stall_ns: number;
  readonly device_faults: number;
  readonly page_requests: number;
  readonly stale_uses: number;
  readonly violations: Readonly<Record<string, number>>;
}

/** What one of several consumers of the address space did, and what it was that became stale. */
export interface ConsumerResult extends AccessCounts {
  /** Name of the machine that it is. */
  readonly machine: string;
  /** Of kernel threads, in its callbacks, their waits for it included. */
  readonly callback_ns: number;
  /** As in `cost.invalidations`. */
  readonly invalidations: Readonly<Record<string, number>>;
}

/** What one of several devices behind one IOMMU did; lookups in the IOTLB are its own, the IOTLB is that of all. */
export interface DeviceResult extends AccessCounts {
  /** Name of the machine whose it is. */
  readonly machine: string;
  /** As in `safety.first`: dev0 and on, through all consumers. */
  readonly device: string;
  /** Requests to its TLB. */
  readonly device_tlb: number;
}

/** One row of a result: a policy on a machine. */
export interface RunResult {
  readonly policy: string;
  readonly machine: string;
  readonly seed: number;
  readonly repro: string;
  /** Of a scheduled trace. */
  readonly schedule?: FollowedSchedule;
  readonly cost: RunCost;
  readonly safety: RunSafety;
  /** In the order in which they are called; of a machine with one consumer nothing. */
  readonly consumers?: readonly ConsumerResult[];
  /** Of machines with several devices behind one IOMMU. */
  readonly devices?: readonly DeviceResult[];
}

/** The `trace` object of a result. */
export interface TraceResult {
  readonly file: string;
  readonly sha256: string;
  readonly agents: number;
  readonly accesses: number;
  readonly dma: number;
  readonly maps: number;
  readonly unmaps: number;
  readonly mm_ops: number;
  /** What the command line added to the trace. */
  readonly added: readonly string[];
  readonly inferred: readonly string[];
  readonly rejected: number;
}

/** The result JSON of `compare` and `run`. */
export interface ComparisonResult {
  readonly format: 1;
  readonly model: number;
  readonly tool: { readonly name: string; readonly version: string };
  readonly trace: TraceResult;
  /** The command line that gives the same again. */
  readonly again: string;
  /** Every cost in nanoseconds, and the range it may lie in. */
  readonly costs: Readonly<Record<string, Pick<Cost, 'default' | 'low' | 'high' | 'confidence'>>>;
  readonly skipped: readonly { readonly policy: string; readonly machine: string; readonly why: string }[];
  readonly runs: readonly RunResult[];
  readonly uncertainty?: Omit<Uncertainty, 'recordsOfTrace'> & { readonly records_of_trace: number };
}

/** Raw outcome of one engine or reference run, before it is compared with the ideal one. Times in picoseconds. */
export interface RawRun {
  readonly elapsed: number;
  /** Picoseconds by cause, idle time left out. */
  readonly causes: Readonly<Record<string, number>>;
  readonly counters: Readonly<Record<string, number>>;
  /** Of each consumer of the address space, where there are several: what happened on its side. They sum to `counters`. */
  readonly consumers?: readonly { readonly machine: string; readonly counters: Readonly<Record<string, number>> }[];
  /** Of each of several devices behind one IOMMU: what happened in its accesses, and to its TLB; part of `counters`. */
  readonly devices?: readonly {
    readonly machine: string;
    /** Among the devices of all consumers. */
    readonly device: number;
    readonly counters: Readonly<Record<string, number>>;
  }[];
  /** By path. */
  readonly paths: Readonly<Record<string, { count: number; pages: number; invalidations: number; ps: number }>>;
  readonly distributions: Readonly<Record<string, Distribution>>;
  readonly openAtEnd: number;
  readonly schedule?: FollowedSchedule;
  readonly first: { property: number; page: number; changed: number; at: number; agent: number; record: number } | null;
}

import { consumersOf } from '../model/consumers.ts';
import { type CostKey, type Costs, isAssumed } from '../model/cost.ts';
import { PROPERTY_NAMES } from '../model/log.ts';
import { consumerOf, hasPri, type Machine } from '../model/machine.ts';
import {
  type ConsumerResult,
  type DeviceResult,
  type Distribution,
  type HitsAndMisses,
  pagesOf,
  type RawRun,
  type RunCost,
  type RunResult,
  type RunSafety,
  type Verdict,
} from '../model/result.ts';
import type { TimelineAgent } from '../model/timeline.ts';
import { PS_PER_NS } from '../model/units.ts';

/** Causes that are no work: a CPU that waits for a page to be read in is idle. */
const IDLE_CAUSES: ReadonlySet<string> = new Set(['page_io']);

/** What a result needs beside the raw runs. */
export interface Composition {
  readonly policy: string;
  readonly machine: Machine;
  readonly costs: Costs;
  readonly seed: number;
  readonly repro: string;
  /** Properties that the engine checks in such a run. */
  readonly checked: readonly string[];
  /** Costs that such a run can pay. */
  readonly paid: readonly CostKey[];
  readonly run: RawRun;
  /** The same trace, machine and seed where stale entries vanish at once. */
  readonly ideal: RawRun;
  /** The run of the first policy on this machine. */
  readonly baseline: RawRun;
  /** By their numbers. */
  readonly agents: readonly TimelineAgent[];
  /** Page number of a page id. */
  readonly vpnOf: (page: number) => number;
}

/** Picoseconds of work: all time of all agents but idle time. */
export function workOf(run: RawRun): number {
  return Object.entries(run.causes).reduce((sum, [cause, ps]) => sum + (IDLE_CAUSES.has(cause) ? 0 : ps), 0);
}

/** A result from a run, its ideal and its baseline. */
export function compose(input: Composition): RunResult {
  const { policy, machine, seed, repro, checked } = input;
  const { schedule, consumers, devices } = input.run;
  const told = { policy, machine: machine.name, seed, repro, ...(schedule && { schedule }) };
  const each = consumers && { consumers: consumers.map((one) => consumerResult(one, checked)) };
  const parts = devices && { devices: devices.map((one) => deviceResult(one, checked)) };
  return { ...told, cost: costOf(input), safety: safetyOf(input), ...each, ...parts };
}

/** Number of a counter by its name. */
type Count = (name: string) => number;

function consumerResult(
  { machine, counters }: NonNullable<RawRun['consumers']>[number],
  checked: readonly string[],
): ConsumerResult {
  const n: Count = (name) => counters[name] ?? 0;
  return {
    machine,
    callback_ns: ns(n('N_CALLBACK_PS')),
    invalidations: { ...commandsOf(n), secondary: n('N_SECONDARY'), deferred: n('N_DEFERRED'), ...refusedOf(n) },
    ...accessesOf(n, checked),
  };
}
function deviceResult(
  { machine, device, counters }: NonNullable<RawRun['devices']>[number],
  checked: readonly string[],
): DeviceResult {
  const n: Count = (name) => counters[name] ?? 0;
  return { machine, device: `dev${device}`, device_tlb: n('N_DEVICE_TLB'), ...accessesOf(n, checked) };
}
/** What became of accesses of devices. */
function accessesOf(n: Count, checked: readonly string[]) {
  return {
    over_invalidated: n('N_OVER'),
    tlb: deviceLookups(n),
    dma: n('N_DMA'),
    device_stall_ns: ns(n('N_DEVICE_STALL_PS')),
    device_faults: n('N_DEVICE_FAULTS'),
    page_requests: n('N_PAGE_REQUESTS'),
    stale_uses: n('N_STALE'),
    violations: violationsOf(n, checked),
  };
}

/** Commands of the IOMMU's queue. */
function commandsOf(n: Count): Record<string, number> {
  return {
    iotlb_page: n('N_IOTLB_PAGE'),
    iotlb_range: n('N_IOTLB_RANGE'),
    iotlb_pasid: n('N_IOTLB_PASID'),
    iotlb_domain: n('N_IOTLB_DOMAIN'),
    iotlb_global: n('N_IOTLB_GLOBAL'),
    device_tlb: n('N_DEVICE_TLB'),
    wait: n('N_WAIT'),
  };
}
/** What consumers do that do not always flush. */
function refusedOf(n: Count): Record<string, number> {
  return { skipped: n('N_SKIPPED'), faults_anew: n('N_FAULT_RETRIES') };
}
function deviceLookups(n: Count): Record<string, HitsAndMisses> {
  return {
    iotlb: { hits: n('N_IOTLB_HIT'), misses: n('N_IOTLB_MISS') },
    device_tlb: { hits: n('N_DEVICE_HIT'), misses: n('N_DEVICE_MISS') },
    context_cache: { hits: n('N_CONTEXT_HIT'), misses: n('N_CONTEXT_MISS') },
    pasid_cache: { hits: n('N_PASID_HIT'), misses: n('N_PASID_MISS') },
  };
}
function violationsOf(n: Count, checked: readonly string[]): Record<string, number> {
  return {
    S1: n('N_S1_READ') + n('N_S1_WRITE'),
    S1_read: n('N_S1_READ'),
    S1_write: n('N_S1_WRITE'),
    S2: n('N_S2'),
    ...(checked.includes('S2x') ? { S2x: n('N_S2X') } : {}),
    S3: n('N_S3'),
    S4: n('N_S4'),
    S5: n('N_S5'),
    S6: n('N_S6'),
    S7: n('N_S7'),
  };
}

/** Whether a machine flushes whenever it is told to; others may find that there is nothing to flush. */
function flushesAlways(machine: Machine): boolean {
  const { table, invalidate } = consumerOf(machine);
  return table === 'shared' && invalidate !== 'if-present';
}

function costOf({ machine, run, ideal, baseline, costs, paid }: Composition): RunCost {
  const n: Count = (name) => run.counters[name] ?? 0;
  const work = workOf(run);
  const overhead = work - workOf(ideal);
  const accesses = n('N_COMPUTE');
  const unmapped = n('N_UNMAPPED');
  const pages = pagesOf({ pages_unmapped: unmapped, paths: run.paths });
  const causes = Object.keys(run.causes).filter((cause) => !IDLE_CAUSES.has(cause));
  const added = causes.map((cause) => [cause, ns(run.causes[cause]! - ideal.causes[cause]!)] as const);
  const paths = Object.entries(run.paths).map(([name, row]) => {
    const { count, pages, invalidations, ps } = row;
    return [name, { count, pages, invalidations, added_ns: ns(ps - ideal.paths[name]!.ps) }] as const;
  });
  return {
    elapsed_ns: ns(run.elapsed),
    work_ns: ns(work),
    overhead_ns: ns(overhead),
    vs_baseline: ratio(work, workOf(baseline)),
    added_per_page_ns: ratio(overhead, pages * PS_PER_NS),
    added_by_cause: Object.fromEntries(added),
    paths: Object.fromEntries(paths),
    device_stall_ns: ns(n('N_DEVICE_STALL_PS')),
    lock_wait_ns: ns(n('N_LOCK_WAIT_PS')),
    lock_hold_ns: nsOf(run.distributions.lockHold!),
    locks: { mmap: ns(n('N_MMAP_WAIT_PS')), qi: ns(n('N_QUEUE_WAIT_PS')), iova: ns(n('N_IOVA_WAIT_PS')) },
    invalidations: {
      ...commandsOf(n),
      cpu_page: n('N_CPU_PAGE'),
      cpu_full: n('N_CPU_FULL'),
      ipi: n('N_IPI'),
      deferred: n('N_DEFERRED'),
      secondary: n('N_SECONDARY'),
      queued: n('N_QUEUED'),
      fq_flush_full: n('N_QUEUE_FULL'),
      fq_flush_timer: n('N_QUEUE_TIMER'),
      ...(machine.family === 'mm' ? { cpu_pending: n('N_CPU_PENDING') } : {}),
      ...queueErrors(n),
      ...(consumersOf(machine).every(flushesAlways) ? {} : refusedOf(n)),
    },
    invalidations_per_page: ratio(n('N_SECONDARY'), pages),
    over_invalidated: n('N_OVER'),
    tlb: {
      cpu_l1: { hits: accesses - n('N_L1I_MISS') - n('N_L1D_MISS'), misses: n('N_L1I_MISS') + n('N_L1D_MISS') },
      cpu_l2: { hits: n('N_L2_HIT'), misses: n('N_L1I_MISS') + n('N_L1D_MISS') - n('N_L2_HIT') },
      ...deviceLookups(n),
      walk_cache: { hits: n('N_WALK_CACHE_HIT'), misses: n('N_WALK_CACHE_MISS') },
    },
    walks: n('N_WALKS'),
    walk_refs: n('N_WALK_REFS'),
    faults: n('N_FAULTS'),
    page_requests: n('N_PAGE_REQUESTS'),
    ...(hasPri(machine)
      ? {
          pri: {
            groups: n('N_PRI_GROUPS'),
            responses: n('N_PAGE_RESPONSES'),
            overflows: n('N_PRQ_OVERFLOWS'),
            dropped: n('N_PRQ_DROPPED'),
            auto_answered: n('N_AUTO_ANSWERS'),
          },
        }
      : {}),
    device_faults: n('N_DEVICE_FAULTS'),
    iovas: { magazine: n('N_IOVA_REUSED'), tree: n('N_IOVA_SLOW') },
    pages_unmapped: unmapped,
    pages_reclaimed: n('N_RECLAIMED'),
    dma: n('N_DMA'),
    dma_late_share: ratio(n('N_DMA_LATE'), n('N_DMA')),
    assumed_costs: paid.filter((key) => isAssumed(costs[key])),
  };
}

function safetyOf({ machine, run, checked, agents, vpnOf }: Composition): RunSafety {
  const n: Count = (name) => run.counters[name] ?? 0;
  const s1 = n('N_S1_READ') + n('N_S1_WRITE');
  const broken = s1 + n('N_S2') + n('N_S2X') + n('N_S3') + n('N_S4') + n('N_S5') + n('N_S6') + n('N_S7');
  const verdict: Verdict = broken > 0 ? 'unsafe' : n('N_EXPOSED') > 0 ? 'exposed' : 'safe';
  const { first } = run;
  return {
    verdict,
    available: n('N_SPURIOUS') === 0,
    faults_spurious: n('N_SPURIOUS'),
    checked,
    stale_uses: n('N_STALE'),
    in_flight_uses: n('N_IN_FLIGHT'),
    shared_frame_uses: n('N_SHARED'),
    misdirected: n('N_MISDIRECTED'),
    allowed_races: n('N_ALLOWED'),
    exposures: n('N_EXPOSED'),
    violations: violationsOf(n, checked),
    window_ns: nsOf(run.distributions.window!),
    exposed_ns: nsOf(run.distributions.exposed!),
    cpu_window_ns: nsOf(run.distributions.cpuWindow!),
    ...(machine.family === 'mm' ? { cpu_late_uses: n('N_CPU_LATE') } : {}),
    windows_empty: n('N_WINDOWS_EMPTY'),
    open_at_end: run.openAtEnd,
    first: first && {
      property: PROPERTY_NAMES[first.property]!,
      page: `0x${vpnOf(first.page).toString(16)}`,
      change_at_ns: ns(first.changed),
      use_record: first.record,
      agent: agents[first.agent]!.name,
      at_ns: ns(first.at),
    },
  };
}

/** What went wrong in the queue, if anything did. */
function queueErrors(n: Count): Record<string, number> {
  const errors = {
    refused: n('N_REFUSED'),
    aborted: n('N_ABORTED'),
    anew: n('N_RETRIES'),
    events: n('N_EVENTS'),
    strange: n('N_STRANGE'),
  };
  return Object.values(errors).some((count) => count > 0) ? errors : {};
}

/** Picoseconds as nanoseconds, three decimals at most. */
function ns(ps: number): number {
  return ps / PS_PER_NS;
}

function nsOf({ count, sum, p50, p99, max }: Distribution): Distribution {
  return { count, sum: ns(sum), p50: ns(p50), p99: ns(p99), max: ns(max) };
}

/** A quotient with three decimals; 0 of nothing. */
function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((part / whole) * 1000) / 1000;
}

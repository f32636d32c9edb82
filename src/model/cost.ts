/**
 * Prices: the time one step holds one resource, in nanoseconds. Waiting for locks, queues and other agents is not a
 * price; it comes out of the clocks. What each key means stands in its note in the catalog file.
 */
import { UsageError } from './errors.ts';
import { nearText } from './near.ts';
import { PS_PER_NS } from './units.ts';

/** Every price there is; a file of prices has no others. Dots group them. */
export const COST_KEYS = [
  'cpu.fetch',
  'cpu.access',
  'cpu.l2_hit',
  'cpu.walk_ref_leaf',
  'cpu.walk_ref_upper',
  'cpu.invlpg',
  'cpu.flush_full',
  'cpu.invlpgb',
  'cpu.tlbsync',
  'cpu.ipi_first',
  'cpu.ipi_next',
  'cpu.ipi_handler',
  'syscall.entry',
  'ptl.acquire',
  'ptl.release',
  'ptl.handoff',
  'pte.clear',
  'pte.set',
  'rmap.remove',
  'page.put',
  'page.free',
  'page.copy',
  'page.zero',
  'notifier.start',
  'notifier.end',
  'fault.minor',
  'fault.swap_in',
  'fault.file_in',
  'reclaim.isolate',
  'qi.submit',
  'qi.extra',
  'qi.wait',
  'amd.submit',
  'amd.extra',
  'amd.wait',
  'iotlb.inv_page',
  'iotlb.inv_pasid',
  'iotlb.inv_domain',
  'iotlb.inv_global',
  'device_tlb.inv',
  'deferral.mark',
  'deferral.activate',
  'iommu.iotlb_hit',
  'iommu.walk_start',
  'iommu.walk_ref',
  'ats.translation',
  'device.translate_hit',
  'device.dma_latency',
  'device.page_request',
  'device.think',
  'iova.alloc',
  'iova.alloc_slow',
  'iova.free',
  'iova.free_slow',
  'fq.enqueue',
  'io_pte.map_call',
  'io_pte.map_page',
  'io_pte.unmap_call',
  'io_pte.unmap_page',
  'viommu.exit',
  'viommu.entry',
  'prq.interrupt',
  'prq.request',
  'device.pri_backoff',
] as const;
export type CostKey = (typeof COST_KEYS)[number];

/** Prices of an invalidation of the secondary MMU: of its commands, their wait, and of what puts one off. */
export const INVALIDATION_COSTS: readonly CostKey[] = COST_KEYS.filter((key) =>
  /^(qi|amd|iotlb|device_tlb|deferral|viommu)\./.test(key),
);

/**
 * Where a figure stands. measured: published as such. derived: arithmetic on published figures. assumed: never measured
 * in public as far as known, or remembered rather than read. given: by the user, on the command line.
 */
export const CONFIDENCES = ['measured', 'derived', 'assumed', 'given'] as const;
export type Confidence = (typeof CONFIDENCES)[number];

/** One price in nanoseconds, its plausible range and where it comes from. */
export interface Cost {
  readonly default: number;
  readonly low: number;
  readonly high: number;
  readonly confidence: Confidence;
  readonly source: string;
  /** What is paid for. */
  readonly note: string;
}

/** Prices that may not be near nothing, nanoseconds. */
const LEAST: Partial<Record<CostKey, number>> = { 'device.pri_backoff': 100 };

/** All prices. */
export type Costs = Readonly<Record<CostKey, Cost>>;

/**
 * The prices of a file, checked: `entries` over those of `base`. Without a base every key has to be there. `place` is
 * the file.
 */
export function costsOf(entries: Readonly<Record<string, Cost>>, place: string, base?: Costs): Costs {
  for (const [key, cost] of Object.entries(entries)) {
    if (!isCostKey(key)) throw new UsageError(`${place}: ${key}: no such cost${nearText(key, COST_KEYS)}`);
    const { default: value, low, high } = cost;
    if (low < (LEAST[key] ?? 0)) {
      throw new UsageError(
        `${place}: ${key}: read ${low}, expected ${LEAST[key]} or more: a device that asks again at once asks for ever`,
      );
    }
    if (!(low <= value && value <= high)) {
      throw new UsageError(
        `${place}: ${key}: read default ${value} outside low ${low} .. high ${high}, expected low <= default <= high`,
      );
    }
  }
  const all = COST_KEYS.map((key) => {
    const cost = Object.hasOwn(entries, key) ? entries[key] : base?.[key];
    if (cost === undefined) throw new UsageError(`${place}: ${key} is missing, expected a cost`);
    return [key, cost] as const;
  });
  return Object.fromEntries(all) as Record<CostKey, Cost>;
}

/** Whether a word is the key of a price. */
export function isCostKey(key: string): key is CostKey {
  return (COST_KEYS as readonly string[]).includes(key);
}

/** A price in integer picoseconds. */
export function costPs(costs: Costs, key: CostKey): number {
  return Math.round(costs[key].default * PS_PER_NS);
}

/** Whether a price rests on no published figure. */
export function isAssumed(cost: Cost): boolean {
  return cost.confidence === 'assumed';
}

/**
 * A consumer of mmu_notifiers: what it is called for, what it does then, and how it comes by translations. Pure data of a
 * machine of family mm (Linux include/linux/mmu_notifier.h; Documentation/mm/mmu_notifier.rst).
 */
import type { CostKey } from './cost.ts';
import type { StepWord } from './policy.ts';

/** What one consumer registers and does. */
export interface Consumer {
  /** shared: it is translated by the process's page tables. own: by a table of its own, which its faults fill. */
  readonly table: 'shared' | 'own';
  /** invalidate_range_start. zap: what it has of the range goes, before the PTEs change. */
  readonly start: 'none' | 'zap';
  /**
   * invalidate_range, since 6.6 arch_invalidate_secondary_tlbs. if-present: nothing is flushed where the process's tables
   * map no page of the range by then. With a table of its own nothing is flushed that the table does not have.
   */
  readonly invalidate: 'none' | 'flush' | 'if-present';
  /** invalidate_page, up to 4.12. */
  readonly invalidatePage: 'none' | 'flush';
  /**
   * What a fault does that has met an invalidation, from range_start to range_end or a callback in between: it is begun
   * anew. any: of whatever range (one sequence count an mm); overlap: of the page's.
   */
  readonly retry: 'none' | 'any' | 'overlap';
  /** How a flush gets to who holds translations, which says whose prices are paid. */
  readonly flushesBy: keyof typeof PRICED_AS;
}

/** An IOMMU's driver: it shares the tables and flushes when it is told to. What a machine has that does not say. */
export const SHARED_TABLE: Consumer = {
  table: 'shared',
  start: 'none',
  invalidate: 'flush',
  invalidatePage: 'flush',
  retry: 'none',
  flushesBy: 'commands',
};

/** A guest's accesses: it walks by itself, and what it has no translation for is an exit. */
const OF_A_GUEST = {
  'iotlb.inv_page': 'cpu.invlpg',
  'iotlb.inv_pasid': 'cpu.flush_full',
  'iommu.iotlb_hit': 'cpu.l2_hit',
  'iommu.walk_start': 'cpu.l2_hit',
  'iommu.walk_ref': 'cpu.walk_ref_leaf',
  'device.dma_latency': 'cpu.access',
  'device.page_request': 'viommu.exit',
} as const;

/**
 * What is paid in place of the prices of an IOMMU and its device, all assumed to agree. ipi: virtual CPUs, who are made to
 * leave guest mode, and walk by themselves; hypercall: a hypervisor flushes for its guest; adapter: a command to the device,
 * as long as an ATS invalidation.
 */
export const PRICED_AS = {
  commands: {},
  ipi: {
    'qi.submit': 'cpu.ipi_first',
    'qi.extra': 'cpu.ipi_next',
    'qi.wait': 'viommu.exit',
    ...OF_A_GUEST,
  },
  hypercall: {
    'qi.submit': 'viommu.exit',
    'qi.extra': 'viommu.entry',
    'qi.wait': 'cpu.ipi_first',
    ...OF_A_GUEST,
  },
  adapter: { 'qi.wait': 'device_tlb.inv' },
} as const satisfies Readonly<Record<string, Readonly<Partial<Record<CostKey, CostKey>>>>>;

/** Steps that are callbacks: each consumer of an mm has its own, one after the other. */
export const CALLBACKS: ReadonlySet<StepWord> = new Set([
  'RS',
  'RE',
  'RE!',
  'SI',
  'SI*',
  'SIp',
  'SI?',
  'IP',
  'CP',
  'REL',
]);

/** Those of them that are invalidate_range. */
const OF_INVALIDATE: ReadonlySet<StepWord> = new Set(['SI', 'SI*', 'SIp', 'SI?', 'RE!']);

/** The price that a consumer pays for what has the price `key` on an IOMMU. */
export function pricedAs({ flushesBy }: Consumer, key: CostKey): CostKey {
  const prices: Readonly<Partial<Record<CostKey, CostKey>>> = PRICED_AS[flushesBy];
  return prices[key] ?? key;
}

/** Whether a step of a list is a callback that the consumer has. Of `RE!` only the invalidation is asked about. */
export function hears({ invalidate, invalidatePage }: Consumer, word: StepWord): boolean {
  if (word === 'IP') return invalidatePage !== 'none';
  return invalidate !== 'none' || !OF_INVALIDATE.has(word);
}

import type { Statement } from '../model/statement.ts';

const AMD = ['amd-v2'];
const INTEL = ['intel-svm'];
/** Whoever unmaps holds no reference of its own. */
const NO_REFERENCE = ['machine.hazards=no-caller-ref'];
const TWO_CASES = ['mismatch-refault', 'madv-free-discard'];
const LATE = [...TWO_CASES, 'cow-stale-read', 'cow-two-pages'];
const REUSE = ['swap-reuse', 'file-reclaim-reuse'];
/** A device that issues translated requests while the driver thinks that there is none. */
const UNCOUNTED = ['machine.hazards=translated-while-idle'];

/**
 * What was said in the review of "mmu_notifier: kill invalidate_page" on linux-mm, 29 to 31 August 2017, in other words:
 * Andrea Arcangeli, Jerome Glisse and Nadav Amit. `implies` is what the explorations say if the statement is right.
 */
export const STATEMENTS: readonly Statement[] = [
  {
    says: 'put_page in try_to_unmap_one is not the last one: the caller holds a reference, so that range_end comes before the free',
    who: 'Andrea Arcangeli',
    trials: [
      { races: REUSE, policies: ['range-end', 'linux-4.14'], machines: AMD, implies: 'holds' },
      { races: REUSE, policies: ['range-end'], machines: AMD, set: NO_REFERENCE, implies: 'S1' },
      { races: REUSE, policies: ['under-lock'], machines: AMD, set: NO_REFERENCE, implies: 'holds' },
    ],
    note: 'it is that reference: without it range_end is too late, and under-lock is not',
  },
  {
    says: 'the page is locked meanwhile, so that a fault on a swap entry or a file page cannot bring another page in',
    who: 'Andrea Arcangeli',
    trials: [{ races: ['swap-refault'], policies: ['range-end', 'batched'], machines: AMD, implies: 'holds' }],
  },
  {
    says: 'where should_defer_flush puts the primary flush off past range_end, putting the secondary one off is as safe',
    who: 'Andrea Arcangeli',
    trials: [
      { races: REUSE, policies: ['batched'], machines: AMD, implies: 'holds' },
      { races: ['lazyfree-batch'], policies: ['batched'], machines: AMD, implies: 'holds' },
    ],
    note: 'right about the free, wrong about the branches that leave no PTE: a new page comes in before the batch is flushed',
  },
  {
    says: 'in try_to_unmap_one a new page can come in between the unlock and range_end in two cases: SwapBacked and SwapCache disagree, and MADV_FREE',
    who: 'Jerome Glisse',
    trials: [
      { races: TWO_CASES, policies: ['range-end'], machines: AMD, implies: 'S2' },
      {
        races: ['swap-refault', 'swap-reuse', 'file-reclaim-reuse', 'migrate-reuse', 'unused-refault'],
        policies: ['range-end'],
        machines: AMD,
        implies: 'holds',
      },
    ],
    note: 'the third one is pte_unused, of s390; outside try_to_unmap_one there are more: explore cow-stale-read cow-two-pages',
  },
  {
    says: 'and so the secondary MMU has to be flushed under the lock there: range_end alone is too late, under the lock is not',
    who: 'Jerome Glisse',
    trials: [
      { races: LATE, policies: ['range-end'], machines: AMD, implies: 'S2' },
      { races: LATE, policies: ['under-lock', 'linux-4.15'], machines: AMD, implies: 'holds' },
    ],
    note: 'linux-4.14, what came of the review, flushed the first of the two cases at range_end alone: explore mismatch-refault',
  },
  {
    says: 'AMD always flushes',
    who: 'Jerome Glisse',
    trials: [
      { races: ['idle-pasid'], policies: ['under-lock', 'range-end', 'linux-4.15'], machines: AMD, implies: 'holds' },
    ],
  },
  {
    says: 'Intel does not flush while no device uses the page table',
    who: 'Jerome Glisse',
    trials: [
      { races: ['idle-device'], policies: ['linux-4.15'], machines: INTEL, set: UNCOUNTED, implies: 'S1' },
      {
        races: ['idle-munmap', 'idle-second'],
        policies: ['linux-4.15'],
        machines: INTEL,
        set: UNCOUNTED,
        implies: 'S1',
      },
    ],
    note: 'true of the first invalidation of an idle period; the second finds the PASID marked, and is carried out',
  },
  {
    says: 'and it needs not: the hardware makes up for it when a device comes back',
    who: 'Jerome Glisse',
    trials: [
      { races: ['idle-pasid'], policies: ['under-lock', 'range-end', 'linux-4.15'], machines: INTEL, implies: 'holds' },
      {
        races: ['idle-pasid'],
        policies: ['linux-4.15'],
        machines: INTEL,
        set: ['machine.hazards=activation-without-flush'],
        implies: 'S1',
      },
    ],
  },
  {
    says: 'tlb_flush_mmu_tlbonly calls invalidate_range, which covers munmap; range_end would not, it comes before',
    who: 'Nadav Amit',
    trials: [{ races: ['munmap-reuse'], policies: ['range-end', 'linux-4.14'], machines: AMD, implies: 'holds' }],
  },
  {
    says: 'tlb_gather_mmu is always called in places that range_start and range_end bracket, so that range_end is enough there',
    who: 'Jerome Glisse',
    trials: [
      {
        races: ['munmap-dirty-file', 'munmap-table'],
        policies: ['range-end-no-gather'],
        machines: AMD,
        implies: 'holds',
      },
    ],
    note: 'the bracket lies inside: dirty pages are freed before range_end, and tables behind it',
  },
  {
    says: 'KVM and Xen only care about range_start and range_end',
    who: 'Jerome Glisse',
    trials: [
      {
        races: ['cow-refault', ...TWO_CASES, 'munmap-reuse'],
        policies: ['range-end', 'linux-6.6'],
        machines: ['kvm', 'xen'],
        implies: 'holds',
      },
    ],
    note: 'their mappings are gone between range_start and range_end; linux-4.12 told them nothing of the first case: explore mismatch-refault --machines kvm',
  },
  {
    says: 'clear_refs_write invalidates nothing between range_start and range_end, so that writes of devices may go unseen',
    who: 'Nadav Amit',
    trials: [
      { races: ['soft-dirty-all'], policies: ['linux-4.12', 'linux-4.14'], machines: AMD, implies: 'S4' },
      { races: ['soft-dirty-all'], policies: ['linux-4.12', 'linux-4.14'], machines: INTEL, implies: 'S4' },
    ],
    note: 'range_end does it, of the whole PASID on AMD; on Intel 0..~0 counts as 0 pages, and page 0 is all that is invalidated',
  },
];

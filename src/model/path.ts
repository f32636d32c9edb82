/**
 * The kernel paths that change page tables: what an invalidation policy gives a step list for. A path is one branch of
 * a kernel function, so that its list has no conditions.
 */

/** How a path walks its pages, which is what `{ }` in its step list repeats over. */
export const PATH_KINDS = {
  page: 'one page in one lock hold; no braces',
  range: 'the pages of a range; { } repeats per lock hold, one leaf page table (512 pages of 4 KiB)',
  batch: 'the pages of one reclaim batch, at most 32; { } repeats per page',
} as const;
export type PathKind = keyof typeof PATH_KINDS;

/** What is known of one path. */
export interface PathInfo {
  readonly kind: PathKind;
  /** One line. */
  readonly title: string;
  /** Where Linux has it: file and function, the caller first. */
  readonly kernel: string;
  /** Steps without which the path does not do what it is for. */
  readonly needs: readonly string[];
}

/** Paths by name. Function names are those of Linux 4.14; later kernels say folio where it says page. */
export const PATHS = {
  reclaim_swap: {
    kind: 'batch',
    title: 'reclaim of anonymous pages: a swap entry takes the place of the PTE, the page is written out and freed',
    kernel: 'mm/vmscan.c shrink_page_list -> mm/rmap.c try_to_unmap_one, TTU_BATCH_FLUSH',
    needs: ['PC', 'PS(swp)', 'PPc', 'FREE'],
  },
  reclaim_file: {
    kind: 'batch',
    title:
      'reclaim of clean file pages: the PTE is left empty, a refault finds the same page while it is in the page cache',
    kernel: 'mm/vmscan.c shrink_page_list -> mm/rmap.c try_to_unmap_one, TTU_BATCH_FLUSH',
    needs: ['PC', 'PPc', 'FREE'],
  },
  reclaim_lazyfree: {
    kind: 'batch',
    title: 'reclaim of clean MADV_FREE pages: the PTE is left empty, a refault gets a new page of zeroes',
    kernel: 'mm/vmscan.c shrink_page_list -> mm/rmap.c try_to_unmap_one, anonymous and not swap-backed',
    needs: ['PC', 'PPc', 'FREE'],
  },
  reclaim_redirtied: {
    kind: 'batch',
    title: 'reclaim of MADV_FREE pages found dirty again: the PTE is put back, the page stays',
    kernel: 'mm/vmscan.c shrink_page_list -> mm/rmap.c try_to_unmap_one, PageDirty after the clear',
    needs: ['PC', 'PS(old)', 'PPc'],
  },
  cow: {
    kind: 'page',
    title: 'write fault on a shared page: a copy takes its place, the old page loses one mapping',
    kernel: 'mm/memory.c wp_page_copy',
    needs: ['PS(new)', 'PPc', 'FREE'],
  },
  munmap: {
    kind: 'range',
    title: 'a range is unmapped; its pages are freed with the gather, after the flush',
    kernel: 'mm/mmap.c unmap_region -> mm/memory.c zap_pte_range, tlb_finish_mmu',
    needs: ['PC', 'FREE'],
  },
  dontneed: {
    kind: 'range',
    title: 'MADV_DONTNEED: the pages go, the range stays, and a fault may fill it again at once',
    kernel: 'mm/madvise.c madvise_dontneed_single_vma -> mm/memory.c zap_page_range',
    needs: ['PC', 'FREE'],
  },
  madv_free: {
    kind: 'range',
    title: 'MADV_FREE: the same pages, marked old and clean; reclaim may drop them unless they are written again',
    kernel: 'mm/madvise.c madvise_free_pte_range',
    needs: ['PS(clean)'],
  },
  mprotect: {
    kind: 'range',
    title: 'the same pages with other permissions',
    kernel: 'mm/mprotect.c change_protection_range -> change_pte_range',
    needs: ['PS(ro)'],
  },
  mremap: {
    kind: 'range',
    title: 'the same pages at another address; the steps are those of the old range',
    kernel: 'mm/mremap.c move_page_tables -> move_ptes',
    needs: ['PC', 'PS(moved)'],
  },
} as const satisfies Record<string, PathInfo>;

export type PathName = keyof typeof PATHS;
export const PATH_NAMES = Object.keys(PATHS) as PathName[];

/** Pages of one reclaim batch: SWAP_CLUSTER_MAX (include/linux/swap.h). */
export const RECLAIM_BATCH = 32;

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
  /** Locks held around the step list, besides the page-table lock that LK and UL take. */
  readonly locks: string;
  /** Whose reference is the last one while old translations may still be in use. */
  readonly last: string;
  /** Whether, and from when on, a fault of another thread can install a different page before the list is over. */
  readonly newPage: string;
  /** What a translation means that is used after it should be gone. */
  readonly stale: string;
  /** Steps without which the path does not do what it is for. */
  readonly needs: readonly string[];
}

/** Paths by name. Function names are those of Linux 4.14; later kernels say folio where it says page. */
export const PATHS = {
  reclaim_swap: {
    kind: 'batch',
    title: 'reclaim of anonymous pages: a swap entry takes the place of the PTE, the page is written out and freed',
    kernel: 'mm/vmscan.c shrink_page_list -> mm/rmap.c try_to_unmap_one, TTU_BATCH_FLUSH',
    locks: 'page lock; mmap_lock not held',
    last: 'isolation by reclaim; afterwards the swap cache',
    newPage: 'no: a fault finds the same page in the swap cache and waits for its lock',
    stale: 'a late device write after the page was written out is lost (S4); frame reuse if it outlives FREE (S1)',
    needs: ['PC', 'PS(swp)', 'PPc', 'FREE'],
  },
  reclaim_file: {
    kind: 'batch',
    title:
      'reclaim of clean file pages: the PTE is left empty, a refault finds the same page while it is in the page cache',
    kernel: 'mm/vmscan.c shrink_page_list -> mm/rmap.c try_to_unmap_one, TTU_BATCH_FLUSH',
    locks: 'page lock; mmap_lock not held',
    last: 'page cache, and isolation by reclaim',
    newPage: 'no: a fault finds the same page in the page cache and waits for its lock',
    stale: 'frame reuse if it outlives FREE (S1)',
    needs: ['PC', 'PPc', 'FREE'],
  },
  reclaim_lazyfree: {
    kind: 'batch',
    title: 'reclaim of clean MADV_FREE pages: the PTE is left empty, a refault gets a new page of zeroes',
    kernel: 'mm/vmscan.c shrink_page_list -> mm/rmap.c try_to_unmap_one, anonymous and not swap-backed',
    locks: 'page lock; mmap_lock not held',
    last: 'isolation by reclaim',
    newPage: 'yes, from UL on: an anonymous fault brings a page of zeroes',
    stale: 'the device reads the old page, and writes into it are lost (S2)',
    needs: ['PC', 'PPc', 'FREE'],
  },
  reclaim_redirtied: {
    kind: 'batch',
    title: 'reclaim of MADV_FREE pages found dirty again: the PTE is put back, the page stays',
    kernel: 'mm/vmscan.c shrink_page_list -> mm/rmap.c try_to_unmap_one, PageDirty after the clear',
    locks: 'page lock; mmap_lock not held',
    last: 'the mapping, which stays',
    newPage: 'no: the PTE is what it was',
    stale: 'nothing: same page, same permission',
    needs: ['PC', 'PS(old)', 'PPc'],
  },
  reclaim_mismatch: {
    kind: 'batch',
    title: 'reclaim of anonymous pages whose SwapBacked and SwapCache disagree: given up, but the PTE is left empty',
    kernel: 'mm/vmscan.c shrink_page_list -> mm/rmap.c try_to_unmap_one, PageSwapBacked != PageSwapCache',
    locks: 'page lock; mmap_lock not held',
    last: 'the mapping, whose reference and mapcount are never put: the page is lost, and its frame not reused',
    newPage: 'yes, from UL on: an anonymous fault brings a page of zeroes',
    stale: 'the device reads the old page, and writes into it are lost (S2)',
    needs: ['PC', 'PPc'],
  },
  reclaim_unused: {
    kind: 'batch',
    title: 'reclaim of pages that a guest says it does not use (s390): the PTE is left empty, a refault gets zeroes',
    kernel: 'mm/vmscan.c shrink_page_list -> mm/rmap.c try_to_unmap_one, pte_unused; constant 0 but on s390',
    locks: 'page lock; mmap_lock not held',
    last: 'isolation by reclaim',
    newPage: 'yes, from UL on: an anonymous fault brings a page of zeroes',
    stale: 'the device reads the old page, and writes into it are lost (S2)',
    needs: ['PC', 'PPc', 'FREE'],
  },
  hwpoison: {
    kind: 'page',
    title: 'memory failure: an entry that kills whoever uses the page takes its place; the frame is never used again',
    kernel: 'mm/memory-failure.c hwpoison_user_mappings -> mm/rmap.c try_to_unmap_one, PageHWPoison',
    locks: 'page lock; mmap_lock not held',
    last: 'memory failure, for ever',
    newPage: 'no: a fault gets SIGBUS; what the program maps there afterwards is its own doing',
    stale: 'the device goes on with broken memory; nothing else, since the frame is never reused',
    needs: ['PC', 'PS(hwp)'],
  },
  cow: {
    kind: 'page',
    title: 'write fault on a shared page: a copy takes its place, the old page loses one mapping',
    kernel: 'mm/memory.c wp_page_copy',
    locks: 'mmap_lock for reading (or the VMA lock)',
    last: 'the faulting thread',
    newPage: 'yes: the list itself maps a different page, in the same lock hold',
    stale: 'the device reads the old page after the CPU has written the new one (S2)',
    needs: ['PS(new)', 'PPc', 'FREE'],
  },
  munmap: {
    kind: 'range',
    title: 'a range is unmapped; its pages are freed with the gather, after the flush',
    kernel: 'mm/mmap.c unmap_region -> mm/memory.c zap_pte_range, tlb_finish_mmu',
    locks: 'mmap_lock for writing',
    last: 'the mmu_gather',
    newPage: 'no: there is no VMA any more',
    stale: 'frame reuse if it outlives FREE (S1)',
    needs: ['PC', 'FREE'],
  },
  munmap_dirty: {
    kind: 'range',
    title: 'the same with dirty pages of a shared file in it: flushed before the lock is dropped, and freed after that',
    kernel:
      'mm/mmap.c unmap_region -> mm/memory.c zap_pte_range, force_flush; tlb_flush_mmu_tlbonly, tlb_flush_mmu_free',
    locks: 'mmap_lock for writing',
    last: 'the mmu_gather, up to the end of each lock hold',
    newPage: 'no: there is no VMA any more',
    stale: 'frame reuse if it outlives FREE, which comes before range_end here (S1)',
    needs: ['PC', 'FREE'],
  },
  dontneed: {
    kind: 'range',
    title: 'MADV_DONTNEED: the pages go, the range stays, and a fault may fill it again at once',
    kernel: 'mm/madvise.c madvise_dontneed_single_vma -> mm/memory.c zap_page_range',
    locks: 'mmap_lock for reading',
    last: 'the mmu_gather',
    newPage: 'yes, from UL on: CPUs have the same window, so the program has to expect it',
    stale: 'the device reads the old page; frame reuse if it outlives FREE (S1)',
    needs: ['PC', 'FREE'],
  },
  madv_free: {
    kind: 'range',
    title: 'MADV_FREE: the same pages, marked old and clean; reclaim may drop them unless they are written again',
    kernel: 'mm/madvise.c madvise_free_pte_range',
    locks: 'mmap_lock for reading',
    last: 'the mapping, which stays',
    newPage: 'no: same page',
    stale: 'a device write after the return does not set the dirty bit, and reclaim drops it (S4)',
    needs: ['PC', 'PS(clean)'],
  },
  mprotect: {
    kind: 'range',
    title: 'the same pages with other permissions',
    kernel: 'mm/mprotect.c change_protection_range -> change_pte_range',
    locks: 'mmap_lock for writing',
    last: 'the mapping, which stays',
    newPage: 'no: same page',
    stale: 'a device write after the return, with the permission taken away (S3)',
    needs: ['PC', 'PS(ro)'],
  },
  mremap: {
    kind: 'range',
    title: 'the same pages at another address; the steps are those of the old range',
    kernel: 'mm/mremap.c move_page_tables -> move_ptes',
    locks: 'mmap_lock for writing',
    last: 'the mapping at the new address',
    newPage: 'the page can be reached, and reclaimed, at its new address from UL on',
    stale: 'frame reuse once it is reclaimed at its new address (S1)',
    needs: ['PC', 'PS(moved)'],
  },
  fork: {
    kind: 'range',
    title: 'fork: the child maps the same pages, and the parent loses the permission to write them',
    kernel: 'kernel/fork.c dup_mmap -> mm/memory.c copy_page_range, copy_one_pte',
    locks: 'mmap_lock of both for writing',
    last: 'the mapping, which stays, and that of the child',
    newPage: 'no: a write fault waits for mmap_lock',
    stale: 'a device write after the return changes what the child sees (S3)',
    needs: ['PC', 'PS(ro)'],
  },
  clear_refs: {
    kind: 'range',
    title: 'soft-dirty tracking: the same pages, read-only until the next write of each has been seen',
    kernel: 'fs/proc/task_mmu.c clear_refs_write -> clear_soft_dirty',
    locks: 'mmap_lock for reading, for writing since 5.15',
    last: 'the mapping, which stays',
    newPage: 'no: same page',
    stale: 'a device write after the return is not recorded (S4)',
    needs: ['PC', 'PS(ro)'],
  },
  page_mkclean: {
    kind: 'page',
    title: 'write-back of a dirty page of a shared file: the PTE becomes clean and read-only before the page is read',
    kernel: 'mm/page-writeback.c clear_page_dirty_for_io -> mm/rmap.c page_mkclean_one',
    locks: 'page lock; mmap_lock not held',
    last: 'write-back, and the page cache',
    newPage: 'no: a write fault makes the same page writable again',
    stale: 'a device write after write-back has begun does not mark the page dirty, and is lost (S4)',
    needs: ['PC', 'PS(ro)'],
  },
  uprobe: {
    kind: 'page',
    title: 'a breakpoint is put into a page of a private file mapping: a copy takes its place',
    kernel: 'kernel/events/uprobes.c uprobe_write_opcode -> __replace_page',
    locks: 'mmap_lock for writing; page lock',
    last: 'the caller, and the page cache',
    newPage: 'yes: the list itself maps a different page, in the same lock hold',
    stale: 'the device reads the page without the breakpoint (S2)',
    needs: ['PS(new)', 'PPc', 'FREE'],
  },
  ksm_write_protect: {
    kind: 'page',
    title: 'KSM, first step: the page becomes read-only before it is compared',
    kernel: 'mm/ksm.c try_to_merge_one_page -> write_protect_page',
    locks: 'mmap_lock for reading; page lock',
    last: 'KSM',
    newPage: 'no: a write fault makes the same page writable again, and KSM gives up',
    stale: 'a device write between the comparison and the merge is lost (S4)',
    needs: ['PC', 'PS(ro)'],
  },
  ksm_replace: {
    kind: 'page',
    title: 'KSM, second step: a page of the same content takes its place, read-only',
    kernel: 'mm/ksm.c try_to_merge_one_page -> replace_page',
    locks: 'mmap_lock for reading; page lock',
    last: 'KSM',
    newPage: 'yes: the list itself maps a different page, of the same content',
    stale: 'nothing until the page is written and copied; frame reuse if it outlives FREE (S1)',
    needs: ['PS(new)', 'PPc', 'FREE'],
  },
  migrate: {
    kind: 'page',
    title: 'migration: a migration entry, the copy, then the new page; here with remove_migration_ptes',
    kernel: 'mm/migrate.c __unmap_and_move -> mm/rmap.c try_to_unmap_one, TTU_MIGRATION; remove_migration_pte',
    locks: 'page lock; mmap_lock not held',
    last: 'isolation by migration',
    newPage: 'no: a fault waits on the migration entry',
    stale: 'a device write after the copy is lost (S4); frame reuse if it outlives FREE (S1)',
    needs: ['PC', 'PS(mig)', 'PS(new)', 'PPc', 'FREE'],
  },
} as const satisfies Record<string, PathInfo>;

export type PathName = keyof typeof PATHS;
export const PATH_NAMES = Object.keys(PATHS) as PathName[];

/** Pages of one reclaim batch: SWAP_CLUSTER_MAX (include/linux/swap.h). */
export const RECLAIM_BATCH = 32;

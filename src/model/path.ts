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
    title:
      'reclaim given up behind the clear, a MADV_FREE page being dirty again or swap_duplicate() failing: the PTE is put back',
    kernel: 'mm/vmscan.c shrink_page_list -> mm/rmap.c try_to_unmap_one, PageDirty after the clear; or swap_duplicate',
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
  migrate_vma: {
    kind: 'page',
    title: 'migrate_vma: a page goes to memory of a device; a migration entry, the copy, then the new page',
    kernel: 'mm/migrate.c migrate_vma_collect_pmd, migrate_vma_pages, from 4.14 on; a page at a time (assumed)',
    locks: 'mmap_lock for reading; page lock',
    last: 'get_page of the collection',
    newPage: 'no: a fault waits on the migration entry',
    stale: 'a device write after the copy is lost (S4); frame reuse if it outlives FREE (S1)',
    needs: ['PC', 'PS(mig)', 'PS(new)', 'PPc', 'FREE'],
  },
  migrate_insert: {
    kind: 'page',
    title: 'migrate_vma finds the zero page: a page of the device takes its place',
    kernel: 'mm/migrate.c migrate_vma_pages -> migrate_vma_insert_page, from 4.14 on',
    locks: 'mmap_lock for reading',
    last: 'the zero page is never freed',
    newPage: 'yes: the list itself maps a different page, in the same lock hold',
    stale: 'the device reads zeroes after the CPU has written the new page (S2)',
    needs: ['PS(new)'],
  },
  numa_hint: {
    kind: 'range',
    title: 'NUMA balancing: the same pages, PROT_NONE until the next access of each tells who uses it',
    kernel: 'kernel/sched/fair.c task_numa_work -> mm/mempolicy.c change_prot_numa -> mm/mprotect.c change_pte_range',
    locks: 'mmap_lock for reading',
    last: 'the mapping, which stays',
    newPage: 'no: a fault gives the same page back',
    stale: 'nothing: same page; a migration that follows has a flush of its own',
    needs: ['PC', 'PS(numa)'],
  },
  numa_migrate: {
    kind: 'page',
    title:
      'NUMA hinting fault of a huge page: it is copied to the node of who uses it, its entry trusted to be PROT_NONE',
    kernel:
      'mm/huge_memory.c do_huge_pmd_numa_page -> mm/migrate.c migrate_misplaced_transhuge_page, up to 5.13, while a flush is pending; a page of 4 KiB at a time (assumed)',
    locks: 'mmap_lock for reading; page lock',
    last: 'isolation by migration',
    newPage: 'no before PS: a fault waits for the page lock; then the list itself maps a different page',
    stale: 'a device write after the copy is lost (S4): change_pmd_range of another CPU has not come to its range_end',
    needs: ['COPY', 'PS(new)', 'PPc', 'FREE'],
  },
  thp_split: {
    kind: 'range',
    title: 'the entry of an anonymous huge page becomes a table of 512 entries of the same pages',
    kernel: 'mm/huge_memory.c __split_huge_pmd_locked; the huge page is 512 pages in one lock hold (assumed)',
    locks: 'page lock; mmap_lock not held',
    last: 'the mapping, which stays',
    newPage: 'no: same pages',
    stale: 'nothing: same pages, same permissions, as long as a later flush of 4 KiB takes the large entry along',
    needs: ['PC', 'PS(old)'],
  },
  thp_split_file: {
    kind: 'range',
    title: 'the entry of a huge page of a file goes; a fault maps its pages again, out of the page cache',
    kernel: 'mm/huge_memory.c __split_huge_pmd_locked, not anonymous',
    locks: 'page lock; mmap_lock not held',
    last: 'the page cache',
    newPage: 'no: a fault finds the same pages in the page cache',
    stale: 'nothing as long as the page cache keeps them',
    needs: ['PC', 'PS(cache)'],
  },
  thp_cow: {
    kind: 'page',
    title: 'write fault on a shared huge page: a copy takes its place',
    kernel: 'mm/huge_memory.c do_huge_pmd_wp_page; a page of 4 KiB at a time (assumed)',
    locks: 'mmap_lock for reading',
    last: 'the faulting thread',
    newPage: 'yes: the list itself maps a different page, in the same lock hold',
    stale: 'the device reads the old page after the CPU has written the new one (S2)',
    needs: ['PS(new)', 'PPc', 'FREE'],
  },
  thp_collapse: {
    kind: 'range',
    title: 'khugepaged: 512 pages are copied into a huge one, which takes their place',
    kernel:
      'mm/khugepaged.c collapse_huge_page -> pmdp_collapse_flush; the huge page is 512 pages in one hold (assumed)',
    locks: 'mmap_lock for writing, anon_vma lock for writing',
    last: 'isolation by khugepaged',
    newPage: 'no: a fault waits for mmap_lock',
    stale: 'a device write after the copy is lost (S4); frame reuse if it outlives FREE (S1)',
    needs: ['PC', 'PS(mig)', 'COPY', 'PS(new)', 'FREE'],
  },
  hugetlb_cow: {
    kind: 'page',
    title: 'write fault on a shared page of hugetlbfs: a copy takes its place',
    kernel: 'mm/hugetlb.c hugetlb_cow; a page of 4 KiB at a time (assumed)',
    locks: 'mmap_lock for reading, hugetlb_fault_mutex',
    last: 'the faulting thread',
    newPage: 'yes: the list itself maps a different page, in the same lock hold',
    stale: 'the device reads the old page after the CPU has written the new one (S2)',
    needs: ['PS(new)', 'PPc', 'FREE'],
  },
  hugetlb_protect: {
    kind: 'range',
    title: 'mprotect of pages of hugetlbfs',
    kernel: 'mm/hugetlb.c hugetlb_change_protection',
    locks: 'mmap_lock for writing, i_mmap_rwsem for writing',
    last: 'the mapping, which stays',
    newPage: 'no: same page',
    stale: 'a device write after the return, with the permission taken away (S3)',
    needs: ['PC', 'PS(ro)'],
  },
  hugetlb_unshare: {
    kind: 'range',
    title:
      'a page table that processes share is given up by one of them; the last one frees it, at any time from PTFREE on',
    kernel: 'mm/hugetlb.c hugetlb_change_protection -> mm/hugetlb.c huge_pmd_unshare; a leaf table (assumed)',
    locks: 'mmap_lock for writing, i_mmap_rwsem for writing up to PTFREE',
    last: 'of the table: the other process',
    newPage: 'no: a fault finds the same pages in the page cache',
    stale: "the IOMMU walks a table that is somebody else's (S5)",
    needs: ['PC', 'PS(cache)', 'PTFREE'],
  },
  exit: {
    kind: 'range',
    title: 'the last thread is gone: devices lose the address space, then all of it is unmapped and freed',
    kernel: 'mm/mmap.c exit_mmap -> mm/mmu_notifier.c __mmu_notifier_release, then unmap_vmas, free_pgtables',
    locks: 'none: nobody else is there; mmap_lock for writing to be on the safe side of the model',
    last: 'the mmu_gather',
    newPage: 'no: there is no program any more',
    stale: 'frame and table reuse if it outlives FREE (S1, S5)',
    needs: ['PC', 'FREE'],
  },
} as const satisfies Record<string, PathInfo>;

export type PathName = keyof typeof PATHS;
export const PATH_NAMES = Object.keys(PATHS) as PathName[];

/** Pages of one reclaim batch: SWAP_CLUSTER_MAX (include/linux/swap.h). */
export const RECLAIM_BATCH = 32;

// Every number that the host and the engine share, in one table. src/engine/encode.ts reads them from the module's
// exports; names live there. The engine knows occasions and steps, never a policy, a path or a machine by name.

// ---- steps of a list (kernel vocabulary in src/model/policy.ts) ----
export const STEP_END: u32 = 0;
export const STEP_LOOP: u32 = 1; //          what follows is done once per lock hold
export const STEP_AGAIN: u32 = 2; //         back to LOOP while there is another hold
export const STEP_RANGE_START: u32 = 3;
export const STEP_RANGE_END: u32 = 4;
export const STEP_LOCK: u32 = 5;
export const STEP_UNLOCK: u32 = 6;
export const STEP_CLEAR: u32 = 7;
export const STEP_SET_SWAP: u32 = 8;
export const STEP_SET_NONE: u32 = 9;
export const STEP_SET_NEW: u32 = 10;
export const STEP_SET_READONLY: u32 = 11;
export const STEP_SET_CLEAN: u32 = 12;
export const STEP_SET_OLD: u32 = 13;
export const STEP_SET_MOVED: u32 = 14;
export const STEP_CPU_FLUSH: u32 = 15;
export const STEP_CPU_DEFER: u32 = 16;
export const STEP_SECONDARY: u32 = 17; //    of the pages of this hold, or of all after the loop
export const STEP_SECONDARY_ALL: u32 = 18; // of the whole space
export const STEP_SECONDARY_END: u32 = 19; // of the whole range of the operation
export const STEP_CHANGE_PTE: u32 = 20;
export const STEP_REMOVE_RMAP: u32 = 21;
export const STEP_PUT: u32 = 22; //          the mapping's reference
export const STEP_PUT_CALLER: u32 = 23;
export const STEP_FREE: u32 = 24;
export const STEP_SET_MIGRATION: u32 = 25;
export const STEP_SET_POISON: u32 = 26;
export const STEP_READ: u32 = 27; //         somebody reads the content: what a device writes from here on is lost
export const STEP_ZAP: u32 = 28; //          at range_start: what a consumer has of the range goes
export const STEP_RELEASE: u32 = 29; //      the IOMMU has no entry for the space any more
export const STEP_FREE_TABLES: u32 = 30;
export const STEP_SET_NUMA: u32 = 31; //     out of reach: the next fault gives the same page back
export const STEP_SET_CACHE: u32 = 32; //    the same of a page that the page cache keeps
export const STEP_CPU_PENDING: u32 = 33; //  what others have put off, if anything,
export const STEP_SECONDARY_PENDING: u32 = 34; // and the whole space then
export const STEP_SECONDARY_TABLES: u32 = 35; // of all pages of the run, if tables have been taken out
export const STEP_CPU_RANGE: u32 = 36; //    of the range, whatever the run has changed in it
/** Added to a step that is one only in a hold that has filled the gather, and to the LOOP of braces that have such steps. */
export const STEP_WHEN_FULL: u32 = 128;
/** A step of a consumer has so many times its number added: 0 of the first. */
export const STEP_CONSUMER: u32 = 256;

// ---- occasions: what makes a CPU, or the reclaim agent, run a list ----
export const AT_RECLAIM_SWAP: u32 = 0;
export const AT_RECLAIM_FILE: u32 = 1;
export const AT_RECLAIM_LAZYFREE: u32 = 2;
export const AT_RECLAIM_REDIRTIED: u32 = 3;
export const AT_RECLAIM_MISMATCH: u32 = 4; // given up when the PTE is gone: the frame is lost
export const AT_RECLAIM_UNUSED: u32 = 5;
export const AT_COW: u32 = 6;
export const AT_UNMAP: u32 = 7;
export const AT_DISCARD: u32 = 8;
export const AT_LAZYFREE: u32 = 9;
export const AT_PROTECT: u32 = 10;
export const AT_MOVE: u32 = 11;
export const AT_SHARE: u32 = 12; //          a range: a child maps the frames as well, nobody may write them
export const AT_UNTRACK: u32 = 13; //        a range: the next write of each page has to be seen
export const AT_CLEAN: u32 = 14; //          a page: it is written back, its next write has to be seen
export const AT_REPLACE: u32 = 15; //        a page of a file: a copy takes its place
export const AT_MERGE_PROTECT: u32 = 16; //  a page: it is to be compared with others,
export const AT_MERGE: u32 = 17; //          and a frame that others map as well takes its place
export const AT_MIGRATE: u32 = 18; //        a page: a copy elsewhere takes its place, meanwhile nobody may use it
export const AT_POISON: u32 = 19; //         a page: its frame is never used again
export const AT_UNMAP_DIRTY: u32 = 20; //    a range as at AT_UNMAP, with dirty pages of a shared file
export const AT_FAULT: u32 = 21; //          installs a PTE, invalidates nothing
export const AT_COLLECT: u32 = 22; //        a page: as AT_MIGRATE, to memory of a device,
export const AT_INSERT: u32 = 23; //         or in the place of the zero page
export const AT_HINT: u32 = 24; //           a range: nobody may use its pages before a fault
export const AT_SPLIT: u32 = 25; //          a range: large leaves become small ones of the same frames,
export const AT_SPLIT_FILE: u32 = 26; //     or go, and faults find the frames again
export const AT_HUGE_COW: u32 = 27; //       AT_COW where leaves are large
export const AT_COLLAPSE: u32 = 28; //       a range: copies in a large leaf take the place of its pages
export const AT_POOL_COW: u32 = 29; //       AT_COW of pages of the pool of large ones,
export const AT_POOL_PROTECT: u32 = 30; //   AT_PROTECT of them
export const AT_UNSHARE: u32 = 31; //        a range: leaf tables that others have as well are given up
export const AT_EXIT: u32 = 32; //           all: there is no program any more
export const AT_MISPLACED: u32 = 33; //     a page out of reach: copied where it is, and the copy takes its place
export const OCCASIONS: u32 = 34;

// ---- commands of a driver's invalidation; see src/model/machine.ts ----
export const COMMAND_END: u32 = 0;
export const COMMAND_IOTLB_PAGE: u32 = 1;
export const COMMAND_IOTLB_RANGE: u32 = 2;
export const COMMAND_IOTLB_PASID: u32 = 3;
export const COMMAND_IOTLB_DOMAIN: u32 = 4;
export const COMMAND_IOTLB_GLOBAL: u32 = 5;
export const COMMAND_DEVICE_PAGE: u32 = 6;
export const COMMAND_DEVICE_RANGE: u32 = 7;
export const COMMAND_DEVICE_ALL: u32 = 8;
export const COMMAND_WAIT: u32 = 9;
export const COMMAND_PASID_ENTRY: u32 = 10; // in no recipe: ahead of that of a PASID that is given back
export const COMMAND_PAGE_RESPONSE: u32 = 11; // in the recipe of a page response alone
export const COMMAND_FENCE: u32 = 12; //       in that of a drain: a wait that only holds back what is behind it
/** Commands of one recipe, the closing END included. */
export const RECIPE_WORDS: u32 = 16;
/** Recipes of a driver: of a page, of a range, of all, of a map; of a page response; of the drain of page requests. */
export const RECIPES: u32 = 6;

// ---- causes: what an agent's time went into ----
export const CAUSE_COMPUTE: u32 = 0;
export const CAUSE_L2: u32 = 1;
export const CAUSE_WALK: u32 = 2;
export const CAUSE_FAULT: u32 = 3;
export const CAUSE_PAGE_IO: u32 = 4;
export const CAUSE_PAGE_COPY: u32 = 5;
export const CAUSE_SYSCALL: u32 = 6;
export const CAUSE_NOTIFIER: u32 = 7;
export const CAUSE_LOCK: u32 = 8;
export const CAUSE_LOCK_WAIT: u32 = 9;
export const CAUSE_PTE: u32 = 10;
export const CAUSE_RMAP: u32 = 11;
export const CAUSE_CPU_FLUSH: u32 = 12;
export const CAUSE_IPI: u32 = 13;
export const CAUSE_INTERRUPTED: u32 = 14;
export const CAUSE_SUBMIT: u32 = 15;
export const CAUSE_WAIT: u32 = 16;
export const CAUSE_DEFER: u32 = 17;
export const CAUSE_FRAME_WAIT: u32 = 18;
export const CAUSE_RECLAIM: u32 = 19;
export const CAUSE_FREE: u32 = 20;
export const CAUSE_QUEUE_WAIT: u32 = 21;
export const CAUSE_DEVICE: u32 = 22;
export const CAUSE_TRANSLATION: u32 = 23;
export const CAUSE_DEVICE_WALK: u32 = 24;
export const CAUSE_PAGE_REQUEST: u32 = 25;
export const CAUSE_ACTIVATE: u32 = 26;
export const CAUSE_IDLE: u32 = 27; //        think and idle time: not work
export const CAUSE_IOVA: u32 = 28; //        allocating and freeing IOVAs
export const CAUSE_FLUSH_QUEUE: u32 = 29;
export const CAUSE_EXIT: u32 = 30; //        in a hypervisor that emulates the IOMMU
export const CAUSES: u32 = 31;

// ---- costs, in picoseconds; the host writes them in this order ----
export const COST_FETCH: u32 = 0;
export const COST_ACCESS: u32 = 1;
export const COST_L2_HIT: u32 = 2;
export const COST_WALK_LEAF: u32 = 3;
export const COST_WALK_UPPER: u32 = 4;
export const COST_INVLPG: u32 = 5;
export const COST_FLUSH_FULL: u32 = 6;
export const COST_IPI_FIRST: u32 = 7;
export const COST_IPI_NEXT: u32 = 8;
export const COST_IPI_HANDLER: u32 = 9;
export const COST_SYSCALL: u32 = 10;
export const COST_LOCK: u32 = 11;
export const COST_UNLOCK: u32 = 12;
export const COST_HANDOFF: u32 = 13;
export const COST_PTE_CLEAR: u32 = 14;
export const COST_PTE_SET: u32 = 15;
export const COST_RMAP: u32 = 16;
export const COST_PUT: u32 = 17;
export const COST_FREE: u32 = 18;
export const COST_RANGE_START: u32 = 19;
export const COST_RANGE_END: u32 = 20;
export const COST_FAULT: u32 = 21;
export const COST_SWAP_IN: u32 = 22;
export const COST_FILE_IN: u32 = 23;
export const COST_PAGE_COPY: u32 = 24;
export const COST_PAGE_ZERO: u32 = 25;
export const COST_ISOLATE: u32 = 26;
export const COST_SUBMIT: u32 = 27;
export const COST_SUBMIT_NEXT: u32 = 28;
export const COST_WAIT: u32 = 29;
export const COST_INV_PAGE: u32 = 30;
export const COST_INV_PASID: u32 = 31;
export const COST_INV_DOMAIN: u32 = 32;
export const COST_INV_GLOBAL: u32 = 33;
export const COST_INV_DEVICE: u32 = 34;
export const COST_DEFER: u32 = 35;
export const COST_ACTIVATE: u32 = 36;
export const COST_DEVICE_THINK: u32 = 37;
export const COST_TRANSLATION: u32 = 38; //  ATS round trip without the walk
export const COST_DEVICE_WALK: u32 = 39; //  one memory reference of the IOMMU's walker
export const COST_DMA: u32 = 40; //          from translate to land
export const COST_PAGE_REQUEST: u32 = 41;
export const COST_DEVICE_WALK_START: u32 = 42;
export const COST_DEVICE_HIT: u32 = 43;
export const COST_IOTLB_HIT: u32 = 44;
export const COST_IOVA_ALLOC: u32 = 45;
export const COST_IOVA_ALLOC_SLOW: u32 = 46;
export const COST_IOVA_FREE: u32 = 47;
export const COST_IOVA_FREE_SLOW: u32 = 48;
export const COST_ENQUEUE: u32 = 49;
export const COST_MAP_CALL: u32 = 50;
export const COST_MAP_PAGE: u32 = 51;
export const COST_UNMAP_CALL: u32 = 52;
export const COST_UNMAP_PAGE: u32 = 53;
export const COST_EXIT: u32 = 54; //         to the hypervisor and back
export const COST_SHADOW: u32 = 55; //       one entry that it reads there
export const COST_INVLPGB: u32 = 56;
export const COST_TLBSYNC: u32 = 57;
export const COST_PRQ_INTERRUPT: u32 = 58; // from the first page request in the queue to its handler
export const COST_PRQ_REQUEST: u32 = 59; //  the handler's work on one, without the page
export const COST_PRI_BACKOFF: u32 = 60; //  until a device asks again for what it was told is there
export const COSTS: u32 = 61;

// ---- settings; the host writes them in this order, f64 each ----
/** Bits of a ways word that are the number of ways; above them stands the replacement. */
export const WAYS_BITS: u32 = 24;
export const SET_PAGES: u32 = 0; //          pages of the trace
export const SET_TABLES: u32 = 1;
export const SET_STEPWISE: u32 = 2; //       1: one step of a list a turn, whatever it costs
export const SET_FLAGS: u32 = 3; //          flags that agents of a race ring and await
export const SET_FRAMES: u32 = 4; //         frames of memory, frame 0 not counted
export const SET_CPUS: u32 = 5;
export const SET_RECLAIM: u32 = 6; //        1: there is a reclaim agent
export const SET_DEVICE: u32 = 7; //         1: there is a device
export const SET_L1I_SETS: u32 = 8; //       sets; ways and, above WAYS_BITS, replacement; so of each cache
export const SET_L1D_SETS: u32 = 10;
export const SET_L2_SETS: u32 = 12;
export const SET_CPU_PDE_SETS: u32 = 14;
export const SET_CPU_PDPTE_SETS: u32 = 16;
export const SET_CPU_PML4E_SETS: u32 = 18;
export const SET_IOTLB_SETS: u32 = 20;
export const SET_IOMMU_PDE_SETS: u32 = 22;
export const SET_IOMMU_PDPTE_SETS: u32 = 24;
export const SET_IOMMU_PML4E_SETS: u32 = 26;
export const SET_DEVICE_TLB_SETS: u32 = 28;
export const SET_CEILING: u32 = 30; //       pages above which a CPU flush is a full one
export const SET_COMMANDS: u32 = 31; //      0 VT-d, 1 AMD
export const SET_RING: u32 = 32; //          slots of the invalidation queue
export const SET_WALKERS: u32 = 33;
export const SET_ATS: u32 = 34;
export const SET_OUTSTANDING: u32 = 35; //   device accesses in flight, of all devices
export const SET_DEFERRAL: u32 = 36;
export const SET_CHANGE_PTE: u32 = 37; //    1: change_pte flushes a page
export const SET_ALIGNED: u32 = 38; //       1: the range is widened to an aligned block
export const SET_POLL: u32 = 39; //          POLL_*
export const SET_DROP_ON_IDLE: u32 = 40;
export const SET_IDEAL: u32 = 41;
export const SET_ACTIVE: u32 = 42; //        mean phases of the device, ps; idle 0 = always active
export const SET_IDLE: u32 = 43;
export const SET_LATE_SHARE: u32 = 44; //    share of device accesses held back, per mille
export const SET_LATE_RECORDS: u32 = 45; //  how recent an unmap they look for
export const SET_LOOKAHEAD: u32 = 46; //     ps
export const SET_SEED: u32 = 47;
export const SET_POSTS: u32 = 48; //         slots of the device's work queue
export const SET_BATCH: u32 = 49; //         pages of one reclaim batch
export const SET_LOW: u32 = 50; //           free frames that wake reclaim
export const SET_HIGH: u32 = 51; //          free frames at which it sleeps again
export const SET_DATA_ONLY: u32 = 52; //     1: there are no fetches, so data accesses take time
export const SET_DMA: u32 = 53; //           1: domains of the DMA API, whose commands name no PASID
export const SET_SPACES: u32 = 55; //        domains
export const SET_DEVICES: u32 = 56; //       behind the IOMMU; 0: one
export const SET_INSTANCES: u32 = 57;
export const SET_RECORDS: u32 = 58;
export const SET_UNMAP: u32 = 59; //         UNMAP_*
export const SET_REUSE: u32 = 60; //         1: a frame given back is somebody else's
export const SET_LEVELS: u32 = 61; //        of the I/O page tables; 0 = 4
export const SET_MMAP_LOCK: u32 = 54; //     1: mmap_lock is modelled
export const SET_SHOOTDOWN: u32 = 63; //     SHOOTDOWN_*
export const SET_SHADOWED: u32 = 62; //      1: a hypervisor emulates the IOMMU
export const SET_LEAVES: u32 = 84; //        leaves of 2^n pages that the driver maps beside 4 KiB, a bit each
export const SET_IOVA: u32 = 64; //          limit, slots of a magazine, depot, sizes
export const SET_QUEUE: u32 = 68; //         slots of a flush queue; time-out in ps; ps of a tick
export const SET_MAX_ORDER: u32 = 71; //     largest block of a range command
export const SET_ITAGS: u32 = 72; //         ATS invalidations that a device takes at a time
export const SET_LOSES: u32 = 73; //         a device loses every so-manieth; 0 = none
export const SET_TIMEOUT: u32 = 74; //       ps until the IOMMU gives an unanswered one up; 0 = never
export const SET_CAPS: u32 = 75; //          CAP_* of descriptor.ts
export const SET_FORMAT: u32 = 76; //        of page tables: FORMAT_*
export const SET_HAZARDS: u32 = 77; //       HAZARD_* of hazard.ts
export const SET_HINT: u32 = 78; //          1: invalidations that free no table spare the walk caches
export const SET_WALK_DROPS: u32 = 79; //    1: the others drop tables of their range, 0: of the whole space
export const SET_CACHES_ABSENT: u32 = 80; // 1: caching mode: the IOTLB holds what is not present, too
export const SET_WHOLE: u32 = 81; //         1: a race goes through all states, those too that make no difference
export const SET_DRAIN: u32 = 82; //         what a full or old flush queue flushes: DRAIN_*
export const SET_ONE_QUEUE: u32 = 83; //     1: a domain has one flush queue, not one per CPU
export const SET_OWN_SETS: u32 = 85; //     pages that a consumer's own table has room for; 0: it shares the process's
export const SET_OWN_WAYS: u32 = 86;
export const SET_IF_PRESENT: u32 = 87; //   1: nothing is flushed where no page is mapped by then
export const SET_RETRY: u32 = 88; //        RETRY_*
export const SET_LARGE_IOTLB_SETS: u32 = 89; // of leaves of 2 MiB,
export const SET_HUGE_IOTLB_SETS: u32 = 91; // of 1 GiB
export const SET_SPLIT: u32 = 93; //        which of them are structures of their own: bits 0 and 1
export const SET_BATCH_COMMANDS: u32 = 94; // commands of one submission beside its wait; 0: any number
export const SET_DOMAIN_LOCK: u32 = 95; //  1: one invalidation of a domain at a time
export const SET_BLOCKS: u32 = 96; //       1: a range is covered by aligned blocks that lie in it
export const SET_PRI: u32 = 97; //          page requests that a device may have outstanding; 0: each is served by itself
export const SET_PRI_GROUP: u32 = 98; //    of one group at most
export const SET_PRQ: u32 = 99; //          slots of the page request queue; 0: it is off
export const SET_MORE_AGENTS: u32 = 100; // of all consumers but the first
export const SET_MALFORMS: u32 = 101; //    a driver sets a reserved bit in every so-manieth submission; 0 = none
export const SET_REPEATS: u32 = 102; //     a device answers every so-manieth invalidation twice; 0 = none
export const SET_SPLIT_WALKS: u32 = 103; // 1: a walk, and the fill of a cache with what it has read, are two turns
export const SET_PRQ_DRAIN: u32 = 104; //    what of page requests is waited for where a PASID is given back: PRQ_*
export const SET_PRQ_RESTARTS: u32 = 105; // 1: the driver clears an overflow of their queue
export const SET_PRQ_ANSWERS: u32 = 106; //  1: the IOMMU answers what it has dropped for that
export const SET_PRQ_WORKERS: u32 = 107; //  of the work queue that groups of them are given to; 0: their handler does it all
export const SET_EACH_DEVICE: u32 = 108; //  1: what is submitted is submitted for each of several devices, one after the other
export const SET_GATHER: u32 = 109; //      pages that an mmu_gather has room for
export const SET_CONTEXT_READS: u32 = 110; // reads that find a device's context entry or DTE, and
export const SET_PASID_READS: u32 = 111; //  the entry of a PASID: where they are not cached
export const SETTINGS: u32 = 112;

// ---- which invalidations make a consumer begin a fault anew that has met one ----
export const RETRY_NONE: u32 = 0;
export const RETRY_ANY: u32 = 1; //          of whatever range
export const RETRY_OVERLAP: u32 = 2; //      of the page's

// ---- what a driver that polls for its wait does with the queue's lock ----
export const POLL_HELD: u32 = 0; //          keeps it
export const POLL_RETAKEN: u32 = 1; //       drops it, and takes it again for each look

// ---- how the TLBs of other CPUs are flushed ----
export const SHOOTDOWN_IPI: u32 = 0;
export const SHOOTDOWN_GENERATIONS: u32 = 1;
export const SHOOTDOWN_BROADCAST: u32 = 2;

// ---- what an unmap of the DMA API does about the IOTLB ----
export const UNMAP_STRICT: u32 = 0; //       invalidates, waits, frees the IOVA
export const UNMAP_LAZY: u32 = 1; //         leaves it to a queue
export const UNMAP_NEVER: u32 = 2; //        nothing is mapped
export const UNMAP_IDEAL: u32 = 3; //        stale entries vanish by themselves

// ---- what a flush queue flushes; but for the first, one set of queues is for all domains ----
export const PRQ_NOT_DRAINED: u32 = 0;
export const PRQ_TAKEN: u32 = 1; //          that the handler has done with what it has taken
export const PRQ_POLLED_FIRST: u32 = 2; //   that the queue is empty, then for a wait that drains what is on its way to it
export const PRQ_POLLED_LAST: u32 = 3; //    the other way round
export const DRAIN_DOMAIN: u32 = 0;
export const DRAIN_EACH: u32 = 1; //         every domain, one after the other
export const DRAIN_GLOBAL: u32 = 2; //       all by one command, and the queues of all CPUs with it

// ---- kinds of memory behind a page ----
export const KIND_UNKNOWN: u32 = 0; //       taken as anonymous
export const KIND_ANON: u32 = 1;
export const KIND_FILE: u32 = 2; //          private file mapping
export const KIND_SHARED: u32 = 3; //        shared file mapping
export const KIND_GONE: u32 = 4; //          unmapped by the program
export const KIND_POOL: u32 = 5; //          from a pool of large pages: never reclaimed
export const KIND_HUGE: u32 = 6; //          anonymous, in large leaves

// ---- rows of events; f64 each: op, then the fields ----
export const EVENT_WORDS: u32 = 8;
export const EVENT_NONE: u32 = 0;
export const EVENT_MAP: u32 = 1; //          first, end, kind
export const EVENT_UNMAP: u32 = 2; //        first, end
export const EVENT_MOVE: u32 = 3; //         first, end, new first
export const EVENT_PROTECT: u32 = 4; //      first, end, writable
export const EVENT_DISCARD: u32 = 5; //      first, end
export const EVENT_LAZYFREE: u32 = 6; //     first, end
export const EVENT_RANGE: u32 = 7; //        first, end, occasion: one list for the range
export const EVENT_PAGES: u32 = 8; //        first, end, occasion, second one or 0: a list, or two, for each page that it fits
export const EVENT_REAP: u32 = 9; //         what a child maps as well is given back
export const EVENT_MARK: u32 = 10; //        first, end, mark: anonymous pages become what reclaim then finds

// ---- actions of an agent of a race: u32 op, then three operands ----
export const ACT_WORDS: u32 = 4;
export const ACT_END: u32 = 0;
export const ACT_READ: u32 = 1; //       page
export const ACT_WRITE: u32 = 2; //      page
export const ACT_RANGE: u32 = 3; //      occasion, first page, pages << 1 | writable
export const ACT_MOVE: u32 = 4; //       first page, pages, first page of the new place
export const ACT_RECLAIM: u32 = 5; //    first page, pages
export const ACT_RING: u32 = 6; //       flag
export const ACT_AWAIT: u32 = 7; //      flag
export const ACT_ACTIVATE: u32 = 8; //   the device begins to use the space,
export const ACT_DEACTIVATE: u32 = 9; // or stops
export const ACT_MAP: u32 = 10; //       first page, pages, kind
export const ACT_PAGE: u32 = 11; //      occasion, page
export const ACT_MARK: u32 = 12; //      first page, pages, mark
export const ACT_UNBIND: u32 = 13; //    the PASID is given back,
export const ACT_BIND: u32 = 14; //      page: and becomes that of its process
export const ACT_PREFETCH: u32 = 15; //  page: the device asks for a translation, and goes on

// ---- marks of pages ----
/** The flags of the page disagree. */
export const MARK_MISMATCH: u32 = 0;
/** A guest does not use it. */
export const MARK_UNUSED: u32 = 1;

/** Faults that a machine, its driver or its kernel is given on purpose, so that the safety checks can be seen to catch them. */

/** One of them. */
export interface Hazard {
  /** What goes wrong. */
  readonly what: string;
  /** Properties that it breaks. */
  readonly breaks: string;
  /** Where the like of it was, or what forbids it. */
  readonly ancestor: string;
}

/** By the names that `hazards` of a machine takes. */
export const HAZARDS = {
  'am-not-widened': {
    what: 'the IOTLB range of an unaligned request is not widened to an aligned block',
    breaks: 'S1 S2 S3 S4',
    ancestor: 'Linux 4.9 to 5.4 intel-svm.c intel_flush_svm_range_dev',
  },
  'device-tlb-before-iotlb': {
    what: 'the device TLB is invalidated first, and refilled from the IOTLB',
    breaks: 'S1 S2 S3',
    ancestor: 'what the order of VT-d 6.5.2.5 and Linux intel/cache.c forbids',
  },
  'activation-without-flush': {
    what: 'activation of a PASID does not carry the deferred invalidation out',
    breaks: 'S1 S2 S3',
    ancestor: 'the first question of August 2017 about VT-d 2.x deferred invalidation',
  },
  'read-then-set': {
    what: 'the PASID-state entry is read, and marked later, not in one atomic step',
    breaks: 'S1 S2 S3',
    ancestor: 'what the cmpxchg of Linux 4.12 intel-svm.c intel_flush_svm_range rules out',
  },
  'translated-while-idle': {
    what: 'the device goes on with translations that it has while the PASID is inactive',
    breaks: 'S1 S2 S3',
    ancestor: 'the second question of August 2017: a device that is not accounted for',
  },
  'completion-before-posted-writes': {
    what: 'the device answers an invalidation before its writes have landed',
    breaks: 'S1 S4',
    ancestor: 'Linux drivers/iommu/intel/iommu.c quirk_extra_dev_tlb_flush',
  },
  'overtaking-completion': {
    what: 'an old translation reaches the device behind the invalidation, and is kept',
    breaks: 'S1 S2 S3 S4',
    ancestor: 'what PCIe ATS 10.3 forbids: translation completions in flight are discarded',
  },
  'overtaken-walk': {
    what: 'the IOTLB is filled with what a walk has read before an invalidation passed it; races with `walk split` only',
    breaks: 'S1 S2 S3 S4',
    ancestor: 'what VT-d 6.5.2.3 and 48882 2.4 rule out: an invalidation is complete when walks in flight are',
  },
  'no-drain': {
    what: 'IOTLB invalidations do not ask for a drain (DR = DW = 0)',
    breaks: 'S1',
    ancestor: 'VT-d 6.5.2.3; hardware without CAP.DRD and CAP.DWD',
  },
  'aborted-wait-as-done': {
    what: 'the driver takes a wait that a time-out aborted for a complete one; VT-d only',
    breaks: 'S1 S2 S3',
    ancestor: 'what Linux drivers/iommu/dmar.c qi_check_fault and its retry rule out',
  },
  'lost-invalidation': {
    what: 'the device loses every eighth ATS invalidation, and the IOMMU gives it up after a millisecond',
    breaks: 'nothing on VT-d, whose driver submits anew; on AMD, where the command then counts as done, S1 S2 S3',
    ancestor: 'invalidation time-outs: VT-d FSTS.ITE, AMD IOTLB_INV_TIMEOUT',
  },
  'answered-twice': {
    what: 'the device answers every eighth invalidation twice; VT-d notes it (FSTS.ICE), who polls clears it, and the queue goes on',
    breaks: 'nothing',
    ancestor: 'VT-d FSTS.ICE and Linux drivers/iommu/dmar.c qi_check_fault; PCIe ATS 10.3.3: an unexpected completion',
  },
  'malformed-command': {
    what: 'the driver sets a reserved bit in the first command of every eighth submission; the IOMMU stops there until the driver has put a wait in its place, and the command is lost',
    breaks: 'S1 S2 S3 S4',
    ancestor:
      'VT-d FSTS.IQE, whose -EINVAL of Linux drivers/iommu/dmar.c qi_check_fault no caller looks at; AMD ILLEGAL_COMMAND_ERROR',
  },
  'mamv-not-checked': {
    what: 'the IOMMU refuses ranges wider than 2^max_am pages, and the driver does not look at that; VT-d, address spaces only',
    breaks: 'S1 S2 S3 S4',
    ancestor: 'Linux 4.9 to 5.4 intel-svm.c intel_flush_svm_range_dev, where that of 2015 asked for cap_max_amask_val',
  },
  'clean-keeps-device-tlb': {
    what: 'MADV_FREE clears dirty bits and does not invalidate the device TLB',
    breaks: 'S4',
    ancestor:
      'the clear_refs question of August 2017: a device sets D when it asks for a translation, not when it writes',
  },
  'device-without-tag': {
    what: 'the device that was attached to a space last has no device-TLB tag: invalidations reach the TLBs of the others alone',
    breaks: 'S1 S2 S3 S4',
    ancestor: 'what Linux 6.12 intel/cache.c cache_tag_assign_domain sees to, whose devices must have ATS on by then',
  },
  'leaf-only': {
    what: 'invalidations of pages and ranges say that no table was freed (IH = 1, PDE = 0), though munmap has freed some',
    breaks: 'S5',
    ancestor: 'what Linux intel/iommu.c intel_iommu_tlb_sync rules out: IH only if the list of freed tables is empty',
  },
  'shared-domain-id': {
    what: 'domains with tables of their own have one DID or DomainID; DMA recordings with several domains only',
    breaks: 'S7',
    ancestor: 'AMD-Vi 48882 2.2.2.1 and VT-d 6.2: one tag must mean one set of tables',
  },
  'reuse-keeps-device-tlb': {
    what: 'a PASID that a process gives back is given to another, and the device TLB keeps what it has of it; races and scheduled traces only',
    breaks: 'S2x; S1 once the first has ended',
    ancestor:
      'the third question of August 2017: PCIe 6.20.1 lets a device TLB survive PASID stop; Linux intel_pasid_tear_down_entry flushes it',
  },
  'reuse-keeps-pasid-entry': {
    what: 'a PASID is given to another process, and the PASID cache keeps the old entry; VT-d only, races and scheduled traces only',
    breaks: 'S2x',
    ancestor: 'what Linux intel/pasid.c pasid_cache_invalidation_with_pasid rules out (VT-d 6.5.2.2)',
  },
  'release-flushes-other-pasid': {
    what: 'of a PASID that is given back, nothing is invalidated but a page of PASID 0: arguments are in the wrong order; AMD only, races and scheduled traces only',
    breaks: 'S2x; S1 once the first has ended',
    ancestor:
      'Linux amd/iommu.c amd_iommu_dev_flush_pasid_all from commit 474bf01ed9f0 until it was mended in September 2024',
  },
  'no-request-drain': {
    what: 'the wait that ends the drain of page requests does not ask for those on their way (PD = 0); VT-d with prq_drain: wait-then-poll only, races and scheduled traces only',
    breaks: 'nothing; `denied`: an answer meant for a process reaches the next one that has its PASID',
    ancestor: 'what the drain flag of VT-d 6.5.2.8 is for; Linux intel/prq.c intel_iommu_drain_pasid_prq sets it',
  },
  'no-flush-on-map': {
    what: 'caching mode, and the driver does not invalidate what it maps',
    breaks: 'nothing; `faults_spurious`',
    ancestor: 'what Linux __mapping_notify_one and iotlb_sync_map rule out (VT-d CAP.CM, AMD NpCache)',
  },
  'reuse-by-mapcount': {
    what: 'a write fault after fork reuses a page that nobody else maps, whoever else has a reference; races with a second process only',
    breaks: 'S2x',
    ancestor: 'Linux to 5.7 mm/memory.c do_wp_page: reuse_swap_page counts mappings',
  },
  'iova-before-flush': {
    what: 'an IOVA is given out again as soon as its unmap is queued, before the flush; policies lazy of DMA only',
    breaks: 'S6',
    ancestor: 'what the flush counters of Linux dma-iommu.c fq_ring_free rule out',
  },
  'no-caller-ref': {
    what: 'who unmaps a page holds no reference of its own, so that the frame is free before range_end flushes',
    breaks: 'S1',
    ancestor: 'what the isolation reference of mm/vmscan.c and the fault reference of mm/memory.c rule out',
  },
} as const satisfies Readonly<Record<string, Hazard>>;
/** A name of one. */
export type HazardName = keyof typeof HAZARDS;

/** A device with `answered-twice` sends every so-manieth answer twice. */
export const REPEATED_EVERY = 8;
/** A driver with `malformed-command` spoils every so-manieth submission. */
export const MALFORMED_EVERY = 8;
/** A device with `lost-invalidation` loses every so-manieth request. */
export const LOST_EVERY = 8;
/** Picoseconds until the IOMMU gives an unanswered request up: 1 ms, the shortest InvTimeOut of AMD (assumed for VT-d). */
export const INVALIDATION_TIMEOUT = 1e9;

/**
 * Names of invalidation descriptors, of the structures around them, and of their fields, with what each means. Where the bits
 * are is the engine's (assembly/bits.ts). Sources: VT-d specification 6.5.2 and 9, Linux 4.13 include/linux/intel-iommu.h for
 * VT-d 2.x (ECS); AMD 48882 sections 2.2 to 2.6; Linux drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.h; RISC-V IOMMU
 * specification, in-memory queues.
 */

export const ARCHES = ['vtd', 'amd', 'smmuv3', 'riscv'] as const;
export type Arch = (typeof ARCHES)[number];

/** What a descriptor of a queue does. */
export interface DescriptorKind {
  /** As the vendor or Linux calls it; two forms of one descriptor share it. */
  readonly name: string;
  /** What the hardware does about it. */
  readonly does: string;
}

const kind = (name: string, does: string): DescriptorKind => ({ name, does });

/** Descriptors of each command set, by the name of the engine's number: `cc_inv` is DESC_VTD_CC_INV. */
export const DESCRIPTORS = {
  vtd: {
    cc_inv: kind('cc_inv', 'drops context-cache entries'),
    iotlb_inv: kind('iotlb_inv', 'drops IOTLB and paging-structure-cache entries'),
    dev_tlb_inv: kind('dev_tlb_inv', 'asks a device to drop entries of its TLB (ATS Invalidate Request)'),
    iec_inv: kind('iec_inv', 'drops interrupt-entry-cache entries'),
    inv_wait: kind('inv_wait', 'completes when every earlier descriptor has'),
    p_iotlb_inv: kind('p_iotlb_inv', 'drops first-stage and nested IOTLB entries of a PASID'),
    pasid_cache_inv: kind('pasid_cache_inv', 'drops PASID-cache entries'),
    p_dev_tlb_inv: kind('p_dev_tlb_inv', 'asks a device to drop entries of a PASID from its TLB'),
    page_grp_resp: kind('page_grp_resp', 'answers a group of page requests'),
    ecs_p_iotlb_inv: kind('p_iotlb_inv', 'drops IOTLB entries of a PASID (VT-d 2.x)'),
    ecs_pasid_cache_inv: kind('pasid_cache_inv', 'drops PASID-cache entries (VT-d 2.x)'),
    ecs_p_dev_tlb_inv: kind('p_dev_tlb_inv', 'asks a device to drop entries of a PASID from its TLB (VT-d 2.x)'),
    ecs_page_grp_resp: kind('page_grp_resp', 'answers a group of page requests (VT-d 2.x)'),
    ecs_page_stream_resp: kind('page_stream_resp', 'answers one page request of a stream (VT-d 2.x)'),
  },
  amd: {
    completion_wait: kind('COMPLETION_WAIT', 'completes when every earlier command has'),
    invalidate_devtab_entry: kind('INVALIDATE_DEVTAB_ENTRY', 'drops what it keeps of a device table entry'),
    invalidate_iommu_pages: kind('INVALIDATE_IOMMU_PAGES', 'drops translations of a domain'),
    invalidate_iotlb_pages: kind(
      'INVALIDATE_IOTLB_PAGES',
      'asks a device to drop entries of its TLB (ATS Invalidate Request)',
    ),
    invalidate_interrupt_table: kind('INVALIDATE_INTERRUPT_TABLE', 'drops interrupt remapping entries of a device'),
    prefetch_iommu_pages: kind('PREFETCH_IOMMU_PAGES', 'may fetch translations ahead of their use'),
    complete_ppr_request: kind('COMPLETE_PPR_REQUEST', 'answers a group of page requests'),
    invalidate_iommu_all: kind('INVALIDATE_IOMMU_ALL', 'drops everything that it keeps'),
  },
  smmuv3: {
    prefetch_cfg: kind('PREFETCH_CFG', 'may fetch a configuration ahead of its use'),
    cfgi_ste: kind('CFGI_STE', 'drops a stream table entry'),
    cfgi_all: kind('CFGI_ALL', 'drops stream table entries, 2^(RANGE+1) of them'),
    cfgi_cd: kind('CFGI_CD', 'drops a context descriptor'),
    cfgi_cd_all: kind('CFGI_CD_ALL', 'drops all context descriptors of a stream'),
    tlbi_nh_all: kind('TLBI_NH_ALL', 'drops all stage 1 translations of a VMID'),
    tlbi_nh_asid: kind('TLBI_NH_ASID', 'drops stage 1 translations of an ASID'),
    tlbi_nh_va: kind('TLBI_NH_VA', 'drops stage 1 translations of addresses in an ASID'),
    tlbi_nh_vaa: kind('TLBI_NH_VAA', 'drops stage 1 translations of addresses in all ASIDs'),
    tlbi_el2_all: kind('TLBI_EL2_ALL', 'drops all EL2 translations'),
    tlbi_el2_asid: kind('TLBI_EL2_ASID', 'drops EL2 translations of an ASID'),
    tlbi_el2_va: kind('TLBI_EL2_VA', 'drops EL2 translations of addresses in an ASID'),
    tlbi_s12_vmall: kind('TLBI_S12_VMALL', 'drops all translations of a VMID, both stages'),
    tlbi_s2_ipa: kind('TLBI_S2_IPA', 'drops stage 2 translations of intermediate addresses'),
    tlbi_nsnh_all: kind('TLBI_NSNH_ALL', 'drops all non-secure translations that are not EL2'),
    atc_inv: kind('ATC_INV', 'asks a device to drop entries of its TLB (ATS Invalidate Request)'),
    pri_resp: kind('PRI_RESP', 'answers a group of page requests'),
    resume: kind('RESUME', 'ends a stalled transaction'),
    sync: kind('SYNC', 'completes when every earlier command has'),
  },
  riscv: {
    iotinval: kind('IOTINVAL', 'drops first-stage (VMA) or second-stage (GVMA) translations'),
    iofence: kind('IOFENCE', 'completes when every earlier command has'),
    iodir: kind('IODIR', 'drops device (DDT) or process (PDT) directory entries'),
    ats: kind('ATS', 'sends a message to a device: invalidation (INVAL) or page response (PRGR)'),
  },
} as const satisfies Record<Arch, Record<string, DescriptorKind>>;

/** Structures in memory that have no command of their own. */
export const STRUCTURES: Readonly<Record<string, string>> = {
  vtd_root_legacy: 'VT-d root entry',
  vtd_root_scalable: 'VT-d root entry, scalable mode',
  vtd_context_legacy: 'VT-d context entry',
  vtd_context_scalable: 'VT-d context entry, scalable mode',
  vtd_pasid_dir: 'VT-d PASID directory entry',
  vtd_pasid_entry: 'VT-d PASID table entry',
  vtd_page_request: 'VT-d page request',
  vtd_fault_record: 'VT-d fault record',
  amd_dte: 'AMD device table entry',
  amd_event: 'AMD event log entry',
  amd_ppr: 'AMD peripheral page request log entry',
};

/** How much a VT-d invalidation names. */
export const GRANULARITIES = [
  'global',
  'domain',
  'device',
  'page',
  'index',
  'pasid',
  'page_in_pasid',
  'all_in_domain_ecs',
  'nonglobal_in_domain_ecs',
] as const;
export type Granularity = (typeof GRANULARITIES)[number];

/** Why hardware refuses a descriptor. */
export const DESCRIPTOR_ERRORS = {
  invalid_type: 'there is no such type',
  unsupported_type: 'the type needs scalable mode (ECAP.SMTS), which this hardware has not',
  needs_256bit_queue: 'the type is valid in a queue of 256-bit descriptors only (IQA.DW = 1)',
  reserved_bits: 'bits are set that are reserved',
  reserved_granularity: 'the granularity is a reserved value',
  am_exceeds_mamv: 'the address mask is above what the hardware takes (CAP.MAMV)',
  invalid_opcode: 'there is no such opcode',
  unsupported_by_EFR: 'the extended feature register does not have this command',
  GN_without_GTSup: 'GN is set, and the hardware has no guest translation (EFR.GTSup)',
  invalid_func3: 'the opcode has no such function',
  PSCV_with_GVMA: 'a process id (PSCV) does not go with IOTINVAL.GVMA',
  PID_with_INVAL_DDT: 'a process id (PID) does not go with IODIR.INVAL_DDT',
  INVAL_PDT_without_DV: 'IODIR.INVAL_PDT needs a device id (DV)',
} as const;
export type DescriptorError = keyof typeof DESCRIPTOR_ERRORS;

/** A capability of the hardware that decides what is valid, and its value where nothing else is said. */
export interface Capability {
  readonly is: string;
  readonly most: number;
  readonly otherwise: number;
}

/** Capabilities by name; the engine's number is CAP_ and the name. */
export const CAPABILITIES = {
  vtd: {
    MAMV: { is: 'CAP.MAMV, largest address mask', most: 63, otherwise: 18 },
    DIT: { is: 'ECAP.DIT, PFSID of device-TLB requests', most: 1, otherwise: 0 },
    PDS: { is: 'ECAP.PDS, waits that drain page requests', most: 1, otherwise: 0 },
    smts: { is: 'ECAP.SMTS, scalable mode', most: 1, otherwise: 0 },
    ecs: { is: 'ECAP.ECS, extended contexts of VT-d 2.x', most: 1, otherwise: 0 },
  },
  amd: {
    PreFSup: { is: 'EFR.PreFSup, prefetch', most: 1, otherwise: 1 },
    PPRSup: { is: 'EFR.PPRSup, page requests', most: 1, otherwise: 1 },
    GTSup: { is: 'EFR.GTSup, guest translation', most: 1, otherwise: 1 },
    IASup: { is: 'EFR.IASup, INVALIDATE_IOMMU_ALL', most: 1, otherwise: 1 },
  },
  smmuv3: {},
  riscv: {
    NL: { is: 'capabilities.NL, non-leaf invalidation', most: 1, otherwise: 1 },
    S: { is: 'capabilities.S, address ranges', most: 1, otherwise: 1 },
  },
} as const satisfies Record<Arch, Record<string, Capability>>;

/** Values of capabilities by name. */
export type Caps = Readonly<Record<string, number>>;

/** One field of a descriptor. */
export interface FieldValue {
  readonly name: string;
  readonly value: bigint;
  /** Whether its bits are reserved, for want of a capability. */
  readonly reserved: boolean;
  /** Where it stands: word, highest bit, lowest bit; several if it is split. */
  readonly parts: readonly (readonly [number, number, number])[];
}

/** What an invalidation covers; `count` pages or entries of 2^shift bytes from `base` on. */
export type DescriptorRange =
  | { readonly what: 'all' }
  | { readonly what: 'pages' | 'entries'; readonly base: bigint; readonly count: bigint; readonly shift: number };

/** A descriptor, taken apart. */
export interface Decoded {
  readonly arch: Arch;
  /** Bits of a slot of its queue. */
  readonly width: number;
  /** Type or opcode as it stands in the words. */
  readonly code: number;
  /** Key of DESCRIPTORS; undefined if there is no such type. */
  readonly kind: string | undefined;
  readonly fields: readonly FieldValue[];
  readonly granularity: Granularity | undefined;
  readonly range: DescriptorRange | undefined;
  readonly error: { readonly reason: DescriptorError; readonly word?: number; readonly bits?: bigint } | undefined;
}

/** Numbers of descriptors as text: small ones decimal, others hexadecimal. */
export function hex(value: bigint): string {
  return value < 10n ? value.toString() : `0x${value.toString(16)}`;
}

/** How commands cover a range of pages. */
export interface Cover {
  /** log2 of the pages of the smallest naturally aligned block. */
  readonly order: number;
  readonly base: bigint;
  /** The block that Linux 4.9 to 5.4 named for shared memory: rounded up, not aligned; hardware aligns it downwards. */
  readonly rounded: number;
  readonly roundedBase: bigint;
  /** Second words of the VT-d device-TLB request and of AMD's INVALIDATE_IOMMU_PAGES. */
  readonly deviceWord: bigint;
  readonly amdWord: bigint;
}

// What makes an invalidation descriptor valid, what it covers, and the bits of its fields: VT-d 6.5.2 in 128 and 256 bits,
// AMD 48882 section 2.4, Arm SMMUv3 and RISC-V IOMMU commands. Bits come from the table in bits.ts; the rules are here.
import { CONDITIONS, IF_DIT, IF_NL, IF_PDS, IF_S, ROW_BYTES, ROWS, TABLE } from './bits';
import { word0, word1 } from './command';
import {
  DESC_AMD_COMPLETE_PPR_REQUEST, DESC_AMD_COMPLETION_WAIT, DESC_AMD_INVALIDATE_IOMMU_ALL, DESC_AMD_INVALIDATE_IOMMU_PAGES,
  DESC_AMD_INVALIDATE_IOTLB_PAGES, DESC_AMD_PREFETCH_IOMMU_PAGES, DESC_RISCV_IODIR, DESC_RISCV_IOFENCE,
  DESC_RISCV_IOTINVAL, DESC_SMMUV3_PREFETCH_CFG, DESC_VTD_CC_INV, DESC_VTD_ECS_P_IOTLB_INV, DESC_VTD_ECS_PAGE_STREAM_RESP,
  DESC_VTD_ECS_PASID_CACHE_INV, DESC_VTD_IOTLB_INV, DESC_VTD_P_IOTLB_INV, DESC_VTD_PAGE_GRP_RESP,
  DESC_VTD_PASID_CACHE_INV, DESCS,
} from './fields';

// Capabilities, one word. VT-d: largest address mask, then bits of ECAP.
export const CAP_MAMV: u32 = 63; //      CAP.MAMV, in bits 5:0
export const CAP_DIT: u32 = 1 << 6; //   PFSID of device-TLB requests
export const CAP_PDS: u32 = 1 << 7; //   PD of waits: drains page requests
export const CAP_SMTS: u32 = 1 << 8; //  scalable mode: types 6 to 9, in 256 bits
export const CAP_ECS: u32 = 1 << 9; //   extended contexts of VT-d 2.x: types 6 to 0xA, in 128 bits
// AMD: bits of EFR.
export const CAP_PREFSUP: u32 = 1 << 10;
export const CAP_PPRSUP: u32 = 1 << 11;
export const CAP_GTSUP: u32 = 1 << 12;
export const CAP_IASUP: u32 = 1 << 13;
// RISC-V: bits of the capabilities register.
export const CAP_NL: u32 = 1 << 14; //   non-leaf invalidation
export const CAP_S: u32 = 1 << 15; //    address-range invalidation

// Why a descriptor is invalid; 0 is valid.
export const ERROR_INVALID_TYPE: u32 = 1; //          no such VT-d type
export const ERROR_UNSUPPORTED_TYPE: u32 = 2; //      a type of a mode that this hardware has not
export const ERROR_NEEDS_256BIT_QUEUE: u32 = 3;
export const ERROR_RESERVED_BITS: u32 = 4; //         see errorWord, errorBits
export const ERROR_RESERVED_GRANULARITY: u32 = 5;
export const ERROR_AM_EXCEEDS_MAMV: u32 = 6;
export const ERROR_INVALID_OPCODE: u32 = 7; //        no such command of AMD, SMMUv3, RISC-V
export const ERROR_UNSUPPORTED_BY_EFR: u32 = 8;
export const ERROR_GN_WITHOUT_GTSUP: u32 = 9;
export const ERROR_INVALID_FUNC3: u32 = 10;
export const ERROR_PSCV_WITH_GVMA: u32 = 11;
export const ERROR_PID_WITH_INVAL_DDT: u32 = 12;
export const ERROR_INVAL_PDT_WITHOUT_DV: u32 = 13;

/** Of the last ERROR_RESERVED_BITS: the first word with such bits, and which they are. */
export let errorWord: u32 = 0;
export let errorBits: u64 = 0;

/** Words that a row of the table may name. */
const WORDS: usize = 8;

/** u64[DESCS][CONDITIONS][WORDS]: bits that have a meaning, once `allowed` has read the table. */
const masks: usize = memory.data(<i32>DESCS * 5 * 8 * 8);
let masksReady: bool = false;

/** Bits highest..lowest of a word. */
@inline
export function maskOf(low: u8, high: u8): u64 {
  return (<u64>-1 >> (63 - (<u64>high - <u64>low))) << <u64>low;
}

/** Row `index` of the table; its bytes are in the order that bits.ts gives. */
@inline
export function rowAt(index: u32): usize {
  return TABLE + <usize>index * ROW_BYTES;
}

function readTable(): void {
  for (let i: u32 = 0; i < ROWS; i++) {
    const row = rowAt(i);
    const at = masks + (((<usize>load<u8>(row) * CONDITIONS + load<u8>(row, 6)) * WORDS + load<u8>(row, 2)) << 3);
    store<u64>(at, load<u64>(at) | maskOf(load<u8>(row, 3), load<u8>(row, 4)));
  }
  masksReady = true;
}

/** Bits of word `word` of a descriptor that have a meaning under these capabilities; all others are reserved. */
export function allowed(kind: u32, word: u32, caps: u32): u64 {
  if (!masksReady) readTable();
  const at = masks + ((<usize>kind * CONDITIONS * WORDS + word) << 3);
  let bits = load<u64>(at);
  if ((caps & CAP_DIT) != 0) bits |= load<u64>(at + (<usize>IF_DIT * WORDS << 3));
  if ((caps & CAP_PDS) != 0) bits |= load<u64>(at + (<usize>IF_PDS * WORDS << 3));
  if ((caps & CAP_NL) != 0) bits |= load<u64>(at + (<usize>IF_NL * WORDS << 3));
  if ((caps & CAP_S) != 0) bits |= load<u64>(at + (<usize>IF_S * WORDS << 3));
  return bits;
}

/** Whether one of the first `words` words has a reserved bit; errorWord and errorBits say which. */
function hasReserved(at: usize, kind: u32, words: u32, caps: u32): bool {
  for (let i: u32 = 0; i < words; i++) {
    const bits = load<u64>(at + (<usize>i << 3)) & ~allowed(kind, i, caps);
    if (bits == 0) continue;
    errorWord = i;
    errorBits = bits;
    return true;
  }
  return false;
}

// ---- VT-d ----

/** Type of a VT-d descriptor: bits 3:0, and above them bits 11:9. */
@inline
export function vtdRawType(at: usize): u32 {
  const low = word0(at);
  return <u32>(low & 15) | (<u32>((low >> 9) & 7) << 4);
}

/** What a VT-d descriptor is, one of DESC_VTD_*, or 0. In VT-d 2.x a type 0xA has its PASID where 11:9 are. */
export function vtdKind(at: usize, width: u32, caps: u32): u32 {
  const type = vtdRawType(at);
  if ((caps & CAP_ECS) == 0 || width != 128) return type <= DESC_VTD_PAGE_GRP_RESP ? type : 0;
  if ((type & 15) == 10) return DESC_VTD_ECS_PAGE_STREAM_RESP;
  if (type < DESC_VTD_P_IOTLB_INV) return type;
  return type <= DESC_VTD_PAGE_GRP_RESP ? type - DESC_VTD_P_IOTLB_INV + DESC_VTD_ECS_P_IOTLB_INV : 0;
}

/**
 * Why the VT-d descriptor at `at` is invalid, one of ERROR_*, or 0: what the queue reports as IQE. `width` is 128 or 256,
 * the bits of a slot; `caps` are CAP_* with CAP.MAMV in bits 5:0. Reads the slot alone, writes errorWord and errorBits.
 * Types 1 to 5 are valid in both widths, 6 to 9 with CAP_SMTS in 256 bits, or with CAP_ECS, in their old form, in 128.
 * Checked in this order: type, capability and width, reserved bits, granularity, AM > MAMV. The order is ours; that there
 * is an error is VT-d's (6.5.2).
 */
export function vtdError(at: usize, width: u32, caps: u32): u32 {
  const kind = vtdKind(at, width, caps);
  if (kind == 0) return ERROR_INVALID_TYPE;
  if (kind >= DESC_VTD_P_IOTLB_INV && kind <= DESC_VTD_PAGE_GRP_RESP) {
    if ((caps & CAP_SMTS) == 0) return ERROR_UNSUPPORTED_TYPE;
    if (width != 256) return ERROR_NEEDS_256BIT_QUEUE;
  }
  if (hasReserved(at, kind, width >> 6, caps)) return ERROR_RESERVED_BITS;
  const g = <u32>(word0(at) >> 4) & 3;
  if (!hasGranularity(kind, g)) return ERROR_RESERVED_GRANULARITY;
  const pages = kind == DESC_VTD_IOTLB_INV || kind == DESC_VTD_P_IOTLB_INV || kind == DESC_VTD_ECS_P_IOTLB_INV;
  return pages && g == 3 && <u32>(word1(at) & 63) > (caps & CAP_MAMV) ? ERROR_AM_EXCEEDS_MAMV : 0;
}

/** Whether a descriptor of this kind may have granularity `g`; those without one have other bits there. */
@inline
function hasGranularity(kind: u32, g: u32): bool {
  if (kind == DESC_VTD_CC_INV || kind == DESC_VTD_IOTLB_INV) return g != 0;
  if (kind == DESC_VTD_P_IOTLB_INV) return g >= 2;
  if (kind == DESC_VTD_PASID_CACHE_INV) return g != 2;
  return kind != DESC_VTD_ECS_PASID_CACHE_INV || g <= 1;
}

/** IQERCD.IQEI of an error: 3 invalid type, 4 reserved field, 5 wrong width. From memory of the manual: assumed. */
export function iqeiOf(error: u32): u32 {
  if (error == ERROR_INVALID_TYPE || error == ERROR_UNSUPPORTED_TYPE) return 3;
  return error == ERROR_NEEDS_256BIT_QUEUE ? 5 : 4;
}

// ---- AMD ----

/** What an AMD command is, one of DESC_AMD_*, or 0. INSERT_GUEST_EVENT and above need a vIOMMU, which is not modelled. */
@inline
export function amdKind(at: usize): u32 {
  const code = <u32>(word0(at) >> 60);
  return code == 0 || code > 8 ? 0 : DESC_AMD_COMPLETION_WAIT - 1 + code;
}

/**
 * Why the AMD command at `at` is illegal, one of ERROR_*, or 0: what the command processor logs as ILLEGAL_COMMAND_ERROR
 * before it stops. `caps` are CAP_* of EFR. Reads the slot alone, writes errorWord and errorBits. Checked in this order:
 * opcode, EFR, reserved bits, GN. The order is ours.
 */
export function amdError(at: usize, caps: u32): u32 {
  const kind = amdKind(at);
  if (kind == 0) return ERROR_INVALID_OPCODE;
  const needs =
    kind == DESC_AMD_PREFETCH_IOMMU_PAGES ? CAP_PREFSUP
    : kind == DESC_AMD_COMPLETE_PPR_REQUEST ? CAP_PPRSUP
    : kind == DESC_AMD_INVALIDATE_IOMMU_ALL ? CAP_IASUP
    : 0;
  if ((caps & needs) != needs) return ERROR_UNSUPPORTED_BY_EFR;
  if (hasReserved(at, kind, 2, caps)) return ERROR_RESERVED_BITS;
  const guest = kind == DESC_AMD_INVALIDATE_IOMMU_PAGES || kind == DESC_AMD_INVALIDATE_IOTLB_PAGES ||
    kind == DESC_AMD_PREFETCH_IOMMU_PAGES || kind == DESC_AMD_COMPLETE_PPR_REQUEST;
  return guest && (word1(at) & 4) != 0 && (caps & CAP_GTSUP) == 0 ? ERROR_GN_WITHOUT_GTSUP : 0;
}

// ---- SMMUv3 and RISC-V: decoded only ----

/** What an SMMUv3 command is, one of DESC_SMMUV3_*, or 0: the command whose opcode is in bits 7:0. */
export function smmuv3Kind(at: usize): u32 {
  const code = <u8>word0(at);
  for (let i: u32 = 0; i < OPCODES; i++) {
    if (load<u8>(SMMUV3_OPCODES + i) == code) return DESC_SMMUV3_PREFETCH_CFG + i;
  }
  return 0;
}

/** Opcodes of DESC_SMMUV3_*, in their order. */
const OPCODES: u32 = 19;
const SMMUV3_OPCODES = memory.data<u8>([
  0x01, 0x03, 0x04, 0x05, 0x06, 0x10, 0x11, 0x12, 0x13, 0x20, 0x21, 0x22, 0x28, 0x2a, 0x30, 0x40, 0x41, 0x44, 0x46,
]);

/** Why an SMMUv3 command is an error (CERROR_ILL), or 0. Reserved bits are RES0: hardware may ignore them. */
export function smmuv3Error(at: usize): u32 {
  return smmuv3Kind(at) == 0 ? ERROR_INVALID_OPCODE : 0;
}

/** What a RISC-V IOMMU command is, one of DESC_RISCV_*, or 0. */
export function riscvKind(at: usize): u32 {
  const code = <u32>word0(at) & 127;
  return code == 0 || code > 4 ? 0 : DESC_RISCV_IOTINVAL - 1 + code;
}

/** Why a RISC-V IOMMU command is illegal (cmd_ill), one of ERROR_*, or 0 (specification, in-memory queues, 3.1). */
export function riscvError(at: usize, caps: u32): u32 {
  const kind = riscvKind(at);
  if (kind == 0) return ERROR_INVALID_OPCODE;
  const low = word0(at);
  const func3 = <u32>(low >> 7) & 7;
  if (func3 > (kind == DESC_RISCV_IOFENCE ? <u32>0 : 1)) return ERROR_INVALID_FUNC3;
  if (hasReserved(at, kind, 2, caps)) return ERROR_RESERVED_BITS;
  if (kind == DESC_RISCV_IOTINVAL && func3 == 1 && ((low >> 32) & 1) != 0) return ERROR_PSCV_WITH_GVMA;
  if (kind != DESC_RISCV_IODIR) return 0;
  if (func3 == 0) return ((low >> 12) & 0xf_ffff) != 0 ? ERROR_PID_WITH_INVAL_DDT : 0;
  return ((low >> 33) & 1) == 0 ? ERROR_INVAL_PDT_WITHOUT_DV : 0;
}

// Descriptors for the host: words in, what they mean out, through blocks of memory. The timed machine does not come here;
// it reads slots with the accessors of vtd.ts and amdvi.ts, which tests hold against the same table.
import { AMD_ALL_ORDER, encodeAmdPages } from './amdvi';
import { ROWS } from './bits';
import { addressOf, coveringOrder, ORDER_ALL, roundedOrder, sizedOrder, sizedPage, word0, word1 } from './command';
import {
  allowed, amdError, amdKind, errorBits, errorWord, ERROR_RESERVED_BITS, maskOf, riscvError, riscvKind, rowAt, smmuv3Error,
  smmuv3Kind, vtdError, vtdKind, vtdRawType,
} from './descriptor';
import {
  DESC_AMD_INVALIDATE_IOMMU_PAGES, DESC_AMD_INVALIDATE_IOTLB_PAGES, DESC_RISCV_IOTINVAL, DESC_SMMUV3_ATC_INV,
  DESC_SMMUV3_TLBI_EL2_VA, DESC_SMMUV3_TLBI_NH_VA, DESC_SMMUV3_TLBI_NH_VAA, DESC_SMMUV3_TLBI_S2_IPA,
  DESC_VTD_CC_INV, DESC_VTD_DEV_TLB_INV, DESC_VTD_ECS_P_DEV_TLB_INV, DESC_VTD_ECS_P_IOTLB_INV,
  DESC_VTD_ECS_PASID_CACHE_INV, DESC_VTD_IEC_INV, DESC_VTD_IOTLB_INV, DESC_VTD_P_DEV_TLB_INV, DESC_VTD_P_IOTLB_INV,
  DESC_VTD_PASID_CACHE_INV, FIELDS,
} from './fields';
import { encodeDeviceTlb } from './vtd';

/** Command sets. */
export const ARCH_VTD: u32 = 0;
export const ARCH_AMD: u32 = 1;
export const ARCH_SMMUV3: u32 = 2;
export const ARCH_RISCV: u32 = 3;

// How much a VT-d invalidation names (6.5.2.1 to 6.5.2.6).
export const GRANULARITY_NONE: u32 = 0;
export const GRANULARITY_GLOBAL: u32 = 1;
export const GRANULARITY_DOMAIN: u32 = 2;
export const GRANULARITY_DEVICE: u32 = 3;
export const GRANULARITY_PAGE: u32 = 4;
export const GRANULARITY_INDEX: u32 = 5;
export const GRANULARITY_PASID: u32 = 6;
export const GRANULARITY_PAGE_IN_PASID: u32 = 7;
/** VT-d 2.x, type 6: all PASIDs of the domain, with or without global entries. */
export const GRANULARITY_ALL_IN_DOMAIN_ECS: u32 = 8;
export const GRANULARITY_NONGLOBAL_IN_DOMAIN_ECS: u32 = 9;

// What a range counts.
export const RANGE_NONE: u32 = 0;
export const RANGE_PAGES: u32 = 1; //    from an address on
export const RANGE_ALL: u32 = 2; //      the whole address space
export const RANGE_ENTRIES: u32 = 3; //  of the interrupt remapping table, from an index on

const words: usize = memory.data(8 * 8);
const values: usize = memory.data(<i32>FIELDS * 8);

// Results, u64 each.
export const RESULT_ERROR: u32 = 0; //        ERROR_*, or 0
export const RESULT_KIND: u32 = 1; //         DESC_*, or 0
export const RESULT_CODE: u32 = 2; //         type or opcode, as it stands in the words
export const RESULT_ERROR_WORD: u32 = 3; //   of ERROR_RESERVED_BITS
export const RESULT_ERROR_BITS: u32 = 4;
export const RESULT_GRANULARITY: u32 = 5; //  GRANULARITY_*
export const RESULT_RANGE: u32 = 6; //        RANGE_*
export const RESULT_BASE: u32 = 7; //         byte address, or index
export const RESULT_COUNT: u32 = 8; //        pages, or entries
export const RESULT_SHIFT: u32 = 9; //        log2 of the bytes of one
// Results of coverRange.
export const RESULT_ORDER: u32 = 0; //        of the smallest aligned block
export const RESULT_ROUNDED: u32 = 1; //      of the block that Linux 4.9 to 5.4 named for shared memory
export const RESULT_ROUNDED_BASE: u32 = 2; // byte address at which hardware begins it
export const RESULT_DEVICE_WORD: u32 = 3; //  second word of the VT-d device-TLB request
export const RESULT_AMD_WORD: u32 = 4; //     second word of INVALIDATE_IOMMU_PAGES
const results: usize = memory.data(10 * 8);

/** u64[8]: the descriptor's words, lowest address first. */
export function wordsAt(): usize {
  return words;
}
/** u64[FIELDS]: values of fields. */
export function valuesAt(): usize {
  return values;
}
/** u64[10]: see RESULT_*. */
export function resultsAt(): usize {
  return results;
}

@inline
function result(index: u32, value: u64): void {
  store<u64>(results + (<usize>index << 3), value);
}

/** What the words are; `width` in bits, `caps` as in descriptor.ts. Results: up to RESULT_SHIFT. */
export function describeWords(arch: u32, width: u32, caps: u32): void {
  memory.fill(results, 0, 10 * 8);
  const low = word0(words);
  let error: u32, kind: u32, code: u32;
  if (arch == ARCH_VTD) {
    error = vtdError(words, width, caps);
    kind = vtdKind(words, width, caps);
    code = vtdRawType(words);
  } else if (arch == ARCH_AMD) {
    error = amdError(words, caps);
    kind = amdKind(words);
    code = <u32>(low >> 60);
  } else if (arch == ARCH_SMMUV3) {
    error = smmuv3Error(words);
    kind = smmuv3Kind(words);
    code = <u32>low & 0xff;
  } else {
    error = riscvError(words, caps);
    kind = riscvKind(words);
    code = <u32>low & 0x7f;
  }
  result(RESULT_ERROR, error);
  result(RESULT_KIND, kind);
  result(RESULT_CODE, code);
  if (error == ERROR_RESERVED_BITS) {
    result(RESULT_ERROR_WORD, errorWord);
    result(RESULT_ERROR_BITS, errorBits);
  }
  const granularity = granularityOf(kind, <u32>(low >> 4) & 3);
  result(RESULT_GRANULARITY, granularity);
  if (error == 0) rangeOf(kind, granularity);
}

/** What `g` means in a kind of descriptor; NONE if it has no granularity, or this one is reserved. */
function granularityOf(kind: u32, g: u32): u32 {
  if (kind == DESC_VTD_IEC_INV) return (g & 1) != 0 ? GRANULARITY_INDEX : GRANULARITY_GLOBAL;
  if (kind == DESC_VTD_CC_INV || kind == DESC_VTD_IOTLB_INV) {
    if (g != 3) return g == 0 ? GRANULARITY_NONE : g == 1 ? GRANULARITY_GLOBAL : GRANULARITY_DOMAIN;
    return kind == DESC_VTD_CC_INV ? GRANULARITY_DEVICE : GRANULARITY_PAGE;
  }
  if (kind == DESC_VTD_PASID_CACHE_INV || kind == DESC_VTD_ECS_PASID_CACHE_INV) {
    if (g <= 1) return g == 0 ? GRANULARITY_DOMAIN : GRANULARITY_PASID;
    return g == 3 && kind == DESC_VTD_PASID_CACHE_INV ? GRANULARITY_GLOBAL : GRANULARITY_NONE;
  }
  const old = kind == DESC_VTD_ECS_P_IOTLB_INV;
  if (kind != DESC_VTD_P_IOTLB_INV && !old) return GRANULARITY_NONE;
  if (g < 2 && !old) return GRANULARITY_NONE;
  if (g >= 2) return g == 2 ? GRANULARITY_PASID : GRANULARITY_PAGE_IN_PASID;
  return g == 0 ? GRANULARITY_ALL_IN_DOMAIN_ECS : GRANULARITY_NONGLOBAL_IN_DOMAIN_ECS;
}

function range(what: u32, base: u64, count: u64, shift: u32): void {
  result(RESULT_RANGE, what);
  result(RESULT_BASE, base);
  result(RESULT_COUNT, count);
  result(RESULT_SHIFT, shift);
}

/** 2^order pages, aligned, of which `page` is one. */
function block(page: u64, order: u32): void {
  if (order >= ORDER_ALL) range(RANGE_ALL, 0, 0, 12);
  else range(RANGE_PAGES, addressOf((page >> order) << order), <u64>1 << order, 12);
}

function rangeOf(kind: u32, granularity: u32): void {
  const low = word0(words);
  const high = word1(words);
  if (granularity == GRANULARITY_PAGE || granularity == GRANULARITY_PAGE_IN_PASID) {
    block(high >> 12, <u32>high & 63);
  } else if (granularity == GRANULARITY_INDEX) {
    const order = (low >> 27) & 31;
    const count = <u64>1 << order;
    range(RANGE_ENTRIES, ((low >> 32) & 0xffff) & ~(count - 1), count, 0);
  } else if (kind == DESC_VTD_DEV_TLB_INV) {
    sized(high, (high & 1) != 0, ORDER_ALL);
  } else if (kind == DESC_VTD_P_DEV_TLB_INV || kind == DESC_VTD_ECS_P_DEV_TLB_INV) {
    sized(high, (high & (1 << 11)) != 0, ORDER_ALL);
  } else if (kind == DESC_AMD_INVALIDATE_IOMMU_PAGES || kind == DESC_AMD_INVALIDATE_IOTLB_PAGES) {
    sized(high, (high & 1) != 0, AMD_ALL_ORDER);
  } else if (kind == DESC_SMMUV3_ATC_INV) {
    block(high >> 12, <u32>high & 63);
  } else if (kind == DESC_RISCV_IOTINVAL) {
    if ((low & (1 << 10)) == 0) range(RANGE_ALL, 0, 0, 12);
    else sized((high >> 10) << 12, (high & (1 << 9)) != 0, ORDER_ALL);
  } else if (
    kind == DESC_SMMUV3_TLBI_NH_VA || kind == DESC_SMMUV3_TLBI_NH_VAA || kind == DESC_SMMUV3_TLBI_EL2_VA ||
    kind == DESC_SMMUV3_TLBI_S2_IPA
  ) {
    // TG 0: one page, whatever its size; else (NUM + 1) * 2^SCALE granules of 4, 16 or 64 KiB.
    const granule = <u32>(high >> 10) & 3;
    const count = granule == 0 ? 1 : (((low >> 12) & 31) + 1) << ((low >> 20) & 31);
    range(RANGE_PAGES, high & ~(<u64>0xfff), count, granule == 0 ? 12 : 10 + 2 * granule);
  }
}

/** A block whose size is in its address if `bySize`; from order `all` on it is everything. */
function sized(address: u64, bySize: bool, all: u32): void {
  const order = bySize ? sizedOrder(address) : 0;
  if (order >= all) block(0, ORDER_ALL);
  else block(sizedPage(address, order), order);
}

/** Writes the values of a kind's fields, those that are reserved for want of a capability too. */
export function readFields(kind: u32): void {
  memory.fill(values, 0, <usize>FIELDS << 3);
  for (let i: u32 = 0; i < ROWS; i++) {
    const row = rowAt(i);
    if (load<u8>(row) != kind) continue;
    const bits = load<u64>(words + (<usize>load<u8>(row, 2) << 3)) & maskOf(load<u8>(row, 3), load<u8>(row, 4));
    const at = values + (<usize>load<u8>(row, 1) << 3);
    store<u64>(at, load<u64>(at) | ((bits >> load<u8>(row, 3)) << load<u8>(row, 5)));
  }
}

/** The words of a kind of descriptor whose fields have these values; bits of a value for which it has no room are lost. */
export function writeFields(kind: u32): void {
  memory.fill(words, 0, 8 * 8);
  for (let i: u32 = 0; i < ROWS; i++) {
    const row = rowAt(i);
    if (load<u8>(row) != kind) continue;
    const at = words + (<usize>load<u8>(row, 2) << 3);
    const value = load<u64>(values + (<usize>load<u8>(row, 1) << 3)) >> load<u8>(row, 5);
    store<u64>(at, load<u64>(at) | ((value << load<u8>(row, 3)) & maskOf(load<u8>(row, 3), load<u8>(row, 4))));
  }
}

/** Writes the reserved bits of each of the eight words of a kind of descriptor over the words. */
export function reservedBits(kind: u32, caps: u32): void {
  for (let i: u32 = 0; i < 8; i++) store<u64>(words + (<usize>i << 3), ~allowed(kind, i, caps));
}

/** How commands cover the pages word 0 .. word 1; results: RESULT_ORDER to RESULT_AMD_WORD. */
export function coverRange(): void {
  const first = word0(words);
  const pages = word1(words) - first + 1;
  const order = coveringOrder(first, pages);
  const rounded = roundedOrder(pages);
  result(RESULT_ORDER, order);
  result(RESULT_ROUNDED, rounded);
  result(RESULT_ROUNDED_BASE, addressOf(rounded >= ORDER_ALL ? 0 : (first >> rounded) << rounded));
  encodeDeviceTlb(words, 0, 0, first, order);
  result(RESULT_DEVICE_WORD, word1(words));
  encodeAmdPages(words, 0, 0, first, order, 0, 0);
  result(RESULT_AMD_WORD, word1(words));
}

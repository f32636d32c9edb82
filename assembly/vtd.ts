// Intel VT-d invalidation descriptors, 128 bits, as Linux 4.12 to 6.12 emits them (drivers/iommu/dmar.c qi_flush_*,
// intel-svm.c; VT-d specification 6.5.2). Type = bits 3:0 of the first word.
//
//   type 1  context cache   63────50 49 FM 48  47── SID ──32  31── DID ──16  15───6  5 G 4  3─ 0001 ─0
//   type 2  IOTLB           63──────────────────────────── 32  31── DID ──16  15──8 DR7 DW6  5 G 4  3─ 0010 ─0
//           second word     63──────────── ADDR ───────────12  11──────────7  IH6   5──────── AM ────────────0
//   type 3  device TLB      63──────────── 48  47── SID ──32  31─21  20 QDEP 16  15───────4  3─ 0011 ─0
//           second word     63──────────── ADDR ───────────12  11────────────────────────────1  S0
//   type 5  wait            63────────── SDATA ─────────── 32  31──────────8  PD7 FN6 SW5 IF4  3─ 0101 ─0
//           second word     63──────────────────────── SADDR ───────────────────────────2  1─0
//
// VT-d 2.x, shared virtual memory of 2015 to 2018 (Linux 4.12 include/linux/intel-iommu.h):
//
//   type 6  extended IOTLB  63──52  51──── PASID ────32  31── DID ──16  15────6  5 G 4  3─ 0110 ─0
//           second word     63──────────── ADDR ───────────12  11───8  GL7  IH6  5──────── AM ───────────0
//   type 8  extended device TLB
//                           63──52  51──── PASID ────32  31── SID ──16  15──9  8 QDEP 4  3─ 1000 ─0
//           second word     63──────────── ADDR ───────────12  S11  10───────────────────────────1  GLOB0
//   type 9  page response   63──52  51──── PASID ────32  31── SID ──16  15─────5  PP4  3─ 1001 ─0
//           second word     63── PRGI ──55  54──── PRIVATE ────32  31───────────4  3── RC ──0
import { addressOf, setWords, sizedAddress, sizedOrder, sizedPage, word0, word1 } from './command';

export const VTD_CONTEXT: u32 = 1;
export const VTD_IOTLB: u32 = 2;
export const VTD_DEVICE_TLB: u32 = 3;
export const VTD_WAIT: u32 = 5;
export const VTD_EXTENDED_IOTLB: u32 = 6;
export const VTD_PASID_CACHE: u32 = 7;
export const VTD_EXTENDED_DEVICE_TLB: u32 = 8;
export const VTD_PAGE_RESPONSE: u32 = 9;

/** Granularity of types 1 and 2. Type 1: `page` means one device. */
export const VTD_GLOBAL: u32 = 1;
export const VTD_DOMAIN: u32 = 2;
export const VTD_PAGE: u32 = 3;
/** Granularity of type 6. */
export const VTD_ALL_PASIDS: u32 = 0;
export const VTD_PASID: u32 = 2;
export const VTD_PASID_PAGE: u32 = 3;
/** Granularity of type 7; 0 is a domain. */
export const VTD_PASID_CACHE_PASID: u32 = 1;
export const VTD_PASID_CACHE_GLOBAL: u32 = 3;

const TYPE_MASK: u64 = 15;
const G_SHIFT: u64 = 4;
const G_MASK: u64 = 3;
const DW: u64 = 1 << 6; //   drain writes
const DR: u64 = 1 << 7; //   drain reads
const DID_SHIFT: u64 = 16;
const SID_SHIFT: u64 = 32;
const HALF_MASK: u64 = 0xffff; // domain id, source id
const FM_SHIFT: u64 = 48;
const FM_MASK: u64 = 3;
const AM_MASK: u64 = 63;
const IH_SHIFT: u64 = 6;
const QDEP_SHIFT: u64 = 16;
const QDEP_MASK: u64 = 31;
const S: u64 = 1;
const WAIT_INTERRUPT: u64 = 1 << 4;
const WAIT_STATUS: u64 = 1 << 5; // SW: write SDATA to SADDR
const WAIT_FENCE: u64 = 1 << 6; //  FN: nothing behind it starts before it is complete
const WAIT_REQUESTS: u64 = 1 << 7; // PD: page requests on their way are in their queue by then
const SDATA_SHIFT: u64 = 32;
const SADDR_MASK: u64 = ~(<u64>3);
const PASID_SHIFT: u64 = 32;
const PASID_MASK: u64 = 0xf_ffff;
const EXTENDED_SID_SHIFT: u64 = 16;
const EXTENDED_QDEP_SHIFT: u64 = 4;
const EXTENDED_S: u64 = 1 << 11;
const ALL_PASIDS: u64 = 1;
const PASID_PRESENT: u64 = 1 << 4;
const PRGI_SHIFT: u64 = 55;
const RC_MASK: u64 = 15;

/** SDATA of Linux's waits: QI_DONE. */
export const QI_DONE: u32 = 2;

/** Context-cache invalidation; `did`, `sid`, `fm` where the granularity uses them, else 0. */
export function encodeContext(at: usize, granularity: u32, did: u32, sid: u32, fm: u32): void {
  const names = (<u64>did << DID_SHIFT) | (<u64>sid << SID_SHIFT) | (<u64>fm << FM_SHIFT);
  setWords(at, names | (<u64>granularity << G_SHIFT) | VTD_CONTEXT, 0);
}

/**
 * IOTLB invalidation of 2^am pages from `page` on; `page`, `am` and `ih` are 0 unless the granularity is a page. Reads
 * and writes are drained, as Linux asks wherever the hardware can (qi_flush_iotlb; QEMU's can).
 */
export function encodeIotlb(at: usize, granularity: u32, did: u32, page: u64, am: u32, ih: u32): void {
  const low = (<u64>did << DID_SHIFT) | DR | DW | (<u64>granularity << G_SHIFT) | VTD_IOTLB;
  setWords(at, low, addressOf(page) | (<u64>ih << IH_SHIFT) | am);
}

/** Takes the drain out of an IOTLB invalidation; other commands stay as they are. */
export function askNoDrain(at: usize): void {
  if (vtdType(at) == VTD_IOTLB) setWords(at, word0(at) & ~(DR | DW), word1(at));
}

/** Device-TLB invalidation of 2^order pages; `qdep` requests may be outstanding, 0 = 32. Order 52 is everything. */
export function encodeDeviceTlb(at: usize, sid: u32, qdep: u32, page: u64, order: u32): void {
  const low = (<u64>sid << SID_SHIFT) | ((<u64>qdep & QDEP_MASK) << QDEP_SHIFT) | VTD_DEVICE_TLB;
  setWords(at, low, sizedAddress(page, order) | (order == 0 ? 0 : S));
}

/** Wait: writes `data` to the address `status` once everything before it is done. */
export function encodeWait(at: usize, status: u64, data: u32): void {
  setWords(at, (<u64>data << SDATA_SHIFT) | WAIT_STATUS | VTD_WAIT, status & SADDR_MASK);
}

/** A wait that writes nothing: what is behind it starts when all before it is done (Linux 6.12 intel/prq.c). */
export function encodeFence(at: usize): void {
  setWords(at, (<u64>QI_DONE << SDATA_SHIFT) | WAIT_FENCE | VTD_WAIT, 0);
}
/** Makes a wait drain page requests, too. */
export function drainRequests(at: usize): void {
  setWords(at, word0(at) | WAIT_REQUESTS, word1(at));
}

/**
 * Extended IOTLB invalidation in a PASID. The address is not aligned to `am`: Linux 4.9 to 5.4 do not align it
 * (intel-svm.c intel_flush_svm_range_dev), and hardware ignores its low bits, so that ranges are under-covered.
 */
export function encodeExtendedIotlb(
  at: usize, granularity: u32, did: u32, pasid: u32, page: u64, am: u32, ih: u32, gl: u32,
): void {
  const names = (<u64>pasid << PASID_SHIFT) | (<u64>did << DID_SHIFT);
  const high = addressOf(page) | (<u64>gl << 7) | (<u64>ih << IH_SHIFT) | am;
  setWords(at, names | (<u64>granularity << G_SHIFT) | VTD_EXTENDED_IOTLB, high);
}

/** PASID-cache invalidation of one PASID of a domain (Linux qi_flush_pasid_cache). */
export function encodePasidEntry(at: usize, did: u32, pasid: u32): void {
  const names = (<u64>pasid << PASID_SHIFT) | (<u64>did << DID_SHIFT);
  setWords(at, names | (<u64>VTD_PASID_CACHE_PASID << G_SHIFT) | VTD_PASID_CACHE, 0);
}

/** Extended device-TLB invalidation of 2^order pages of a PASID. */
export function encodeExtendedDeviceTlb(
  at: usize, sid: u32, pasid: u32, qdep: u32, page: u64, order: u32,
): void {
  const names = (<u64>pasid << PASID_SHIFT) | (<u64>sid << EXTENDED_SID_SHIFT);
  const low = names | ((<u64>qdep & QDEP_MASK) << EXTENDED_QDEP_SHIFT) | VTD_EXTENDED_DEVICE_TLB;
  setWords(at, low, sizedAddress(page, order) | (order == 0 ? 0 : EXTENDED_S));
}

/** Response to a group of page requests, of 128 bits (Linux 4.12 intel-svm.c prq_event_thread). */
export function encodePageResponse(at: usize, sid: u32, pasid: u32, group: u32, code: u32): void {
  const names = (<u64>pasid << PASID_SHIFT) | (<u64>sid << EXTENDED_SID_SHIFT);
  setWords(at, names | PASID_PRESENT | VTD_PAGE_RESPONSE, (<u64>group << PRGI_SHIFT) | code);
}

@inline
export function vtdType(at: usize): u32 {
  return <u32>(word0(at) & TYPE_MASK);
}
@inline
export function vtdGranularity(at: usize): u32 {
  return <u32>((word0(at) >> G_SHIFT) & G_MASK);
}
/** Domain id of types 1, 2, 6 and 7. */
@inline
export function vtdDomain(at: usize): u32 {
  return <u32>((word0(at) >> DID_SHIFT) & HALF_MASK);
}
/** Source id of types 1, 3 and 8. */
@inline
export function vtdSource(at: usize): u32 {
  const shift = vtdType(at) == VTD_EXTENDED_DEVICE_TLB ? EXTENDED_SID_SHIFT : SID_SHIFT;
  return <u32>((word0(at) >> shift) & HALF_MASK);
}
/** Function mask of type 1. */
@inline
export function vtdFunctionMask(at: usize): u32 {
  return <u32>((word0(at) >> FM_SHIFT) & FM_MASK);
}
/** PASID of types 6, 7 and 8. */
@inline
export function vtdPasid(at: usize): u32 {
  return <u32>((word0(at) >> PASID_SHIFT) & PASID_MASK);
}
/** Whether type 8 means all PASIDs of the device. */
@inline
export function vtdAllPasids(at: usize): bool {
  return (word1(at) & ALL_PASIDS) != 0;
}
/** Address mask of types 2 and 6: 2^AM pages. */
@inline
export function vtdAddressMask(at: usize): u32 {
  return <u32>(word1(at) & AM_MASK);
}
/** Invalidation hint of types 2 and 6: 1 keeps the paging-structure caches. */
@inline
export function vtdHint(at: usize): u32 {
  return <u32>((word1(at) >> IH_SHIFT) & 1);
}
/** Page number as it stands in types 2 and 6: not aligned to the address mask. */
@inline
export function vtdPage(at: usize): u64 {
  return word1(at) >> 12;
}
/** Order of the block that a device-TLB request names, types 3 and 8; 52 = everything. */
export function vtdOrder(at: usize): u32 {
  const size = vtdType(at) == VTD_EXTENDED_DEVICE_TLB ? EXTENDED_S : S;
  return (word1(at) & size) == 0 ? 0 : sizedOrder(word1(at));
}
/** First page of that block. */
export function vtdFirstPage(at: usize): u64 {
  return sizedPage(word1(at), vtdOrder(at));
}
/** How many device-TLB requests may be outstanding, types 3 and 8: 1..32. */
export function vtdQueueDepth(at: usize): u32 {
  const shift = vtdType(at) == VTD_EXTENDED_DEVICE_TLB ? EXTENDED_QDEP_SHIFT : QDEP_SHIFT;
  const depth = <u32>((word0(at) >> shift) & QDEP_MASK);
  return depth == 0 ? 32 : depth;
}
/** Whether types 2 and 6 wait for accesses in flight: type 2 if asked to drain reads and writes, type 6 always. */
export function vtdDrains(at: usize): bool {
  return vtdType(at) == VTD_EXTENDED_IOTLB || (word0(at) & (DR | DW)) == (DR | DW);
}
/** Group and code of type 9. */
@inline
export function vtdResponseGroup(at: usize): u32 {
  return <u32>(word1(at) >> PRGI_SHIFT);
}
@inline
export function vtdResponseCode(at: usize): u32 {
  return <u32>(word1(at) & RC_MASK);
}
/** Whether a wait writes its data, raises the completion event, holds back what is behind it. */
@inline
export function vtdWaitWrites(at: usize): bool {
  return (word0(at) & WAIT_STATUS) != 0;
}
@inline
export function vtdWaitInterrupt(at: usize): bool {
  return (word0(at) & WAIT_INTERRUPT) != 0;
}
@inline
export function vtdWaitFence(at: usize): bool {
  return (word0(at) & WAIT_FENCE) != 0;
}
/** Whether it drains page requests. */
@inline
export function vtdWaitDrains(at: usize): bool {
  return (word0(at) & WAIT_REQUESTS) != 0;
}
/** SADDR and SDATA of a wait. */
@inline
export function vtdWaitAddress(at: usize): u64 {
  return word1(at) & SADDR_MASK;
}
@inline
export function vtdWaitData(at: usize): u64 {
  return word0(at) >> SDATA_SHIFT;
}

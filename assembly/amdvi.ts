// AMD-Vi commands, 128 bits, as Linux 4.12 to 6.12 emits them (drivers/iommu/amd/iommu.c build_*; AMD IOMMU
// specification 48882, section 2.4). Opcode = bits 63:60 of the first word.
//
//   1  COMPLETION_WAIT         63─ 1 ─60  59───52  51──────────── store address ────────────3  F2 I1 S0
//      second word             63──────────────────────── data to store ─────────────────────────────0
//   2  INVALIDATE_DEVTAB_ENTRY 63─ 2 ─60  59──────────────────────────────16  15──── DevID ──────────0
//   3  INVALIDATE_IOMMU_PAGES  63─ 3 ─60  59──48  47── DomID ──32  31────20  19───── PASID ──────────0
//      second word             63──────────────── address ────────────────12  11──────3  GN2 PDE1 S0
//   4  INVALIDATE_IOTLB_PAGES  63─ 4 ─60  59 PASID 56  55 PASID 48  47── QueueID ──32
//                              31 MaxPend 24  23 PASID 16  15──── DevID ────0
//      second word             63──────────────── address ────────────────12  11──6  5 Type 4  GN2  S0
//                              PASID: bits 15:8 in 23:16, 7:0 in 55:48, 19:16 in 59:56
//   7  COMPLETE_PPR_REQUEST    63─ 7 ─60  59──52  51──── PASID ────32  31─────16  15──── DevID ────0
//      second word             63──────48  47─ Status ─44  43─41  40─── Tag ───32  31──────────3  GN2  1─0
//   8  INVALIDATE_IOMMU_ALL    63─ 8 ─60  59──────────────────────────────────────────────────────────0
import { ORDER_ALL, setWords, sizedAddress, sizedOrder, sizedPage, word0, word1 } from './command';

export const AMD_WAIT: u32 = 1;
export const AMD_DEVICE_ENTRY: u32 = 2;
export const AMD_PAGES: u32 = 3;
export const AMD_IOTLB_PAGES: u32 = 4;
export const AMD_INTERRUPTS: u32 = 5;
export const AMD_PAGE_RESPONSE: u32 = 7;
export const AMD_ALL: u32 = 8;

/**
 * A block of 2^40 pages, whose address has its first zero at bit 51, is everything (QEMU hw/i386/amd_iommu.c). Larger ones
 * Linux writes as everything (drivers/iommu/amd/iommu.c build_inv_address).
 */
export const AMD_ALL_ORDER: u32 = 40;

const OPCODE_SHIFT: u64 = 60;
const DEVICE_MASK: u64 = 0xffff;
const DOMAIN_SHIFT: u64 = 32;
const DOMAIN_MASK: u64 = 0xffff;
const PASID_MASK: u64 = 0xf_ffff;
const QUEUE_SHIFT: u64 = 32;
const PENDING_SHIFT: u64 = 24;
const PENDING_MASK: u64 = 0xff;
const S: u64 = 1;
const PDE: u64 = 1 << 1;
const GN: u64 = 1 << 2;
const WAIT_STORE: u64 = 1;
const WAIT_INTERRUPT: u64 = 1 << 1;
const WAIT_FLUSH: u64 = 1 << 2;
const TAG_SHIFT: u64 = 32;
const TAG_MASK: u64 = 0x1ff;
const STATUS_SHIFT: u64 = 44;
const STATUS_MASK: u64 = 15;
const STORE_MASK: u64 = 0xf_ffff_ffff_fff8;

@inline
function opcode(code: u32): u64 {
  return <u64>code << OPCODE_SHIFT;
}

@inline
function amdAddress(page: u64, order: u32): u64 {
  return sizedAddress(page, order > AMD_ALL_ORDER ? ORDER_ALL : order);
}

/** Stores `data` at the address `store` once everything before it is done. */
export function encodeAmdWait(at: usize, status: u64, data: u64): void {
  setWords(at, opcode(AMD_WAIT) | (status & STORE_MASK) | WAIT_STORE, data);
}

/** A wait that stores nothing and tells nobody. */
export function encodeAmdNothing(at: usize): void {
  setWords(at, opcode(AMD_WAIT), 0);
}

/** Drops what the IOMMU keeps of the device table entry of `device`. */
export function encodeAmdDeviceEntry(at: usize, device: u32): void {
  setWords(at, opcode(AMD_DEVICE_ENTRY) | device, 0);
}

/**
 * Drops 2^order pages of a domain; order 52 is everything. `pde`: upper levels too. `gn`: guest translations, of `pasid`.
 */
export function encodeAmdPages(at: usize, domain: u32, pasid: u32, page: u64, order: u32, pde: u32, gn: u32): void {
  const low = opcode(AMD_PAGES) | (<u64>domain << DOMAIN_SHIFT) | pasid;
  const flags = (pde != 0 ? PDE : 0) | (gn != 0 ? GN : 0) | (order != 0 ? S : 0);
  setWords(at, low, amdAddress(page, order) | flags);
}

/** Asks `device` to drop 2^order pages from its own TLB; at most `pending` such requests at a time. */
export function encodeAmdIotlbPages(
  at: usize, device: u32, pending: u32, pasid: u32, page: u64, order: u32, gn: u32,
): void {
  const split = (<u64>((pasid >> 8) & 0xff) << 16) | (<u64>(pasid & 0xff) << 48) | (<u64>((pasid >> 16) & 15) << 56);
  const names = (<u64>device << QUEUE_SHIFT) | (<u64>pending << PENDING_SHIFT) | device;
  const flags = (gn != 0 ? GN : 0) | (order != 0 ? S : 0);
  setWords(at, opcode(AMD_IOTLB_PAGES) | names | split, amdAddress(page, order) | flags);
}

/** Answers a group of page requests of a PASID (Linux 4.12 drivers/iommu/amd_iommu.c build_complete_ppr). */
export function encodeAmdPageResponse(at: usize, device: u32, pasid: u32, group: u32, code: u32): void {
  const low = opcode(AMD_PAGE_RESPONSE) | (<u64>pasid << 32) | device;
  setWords(at, low, GN | (<u64>group << TAG_SHIFT) | (<u64>code << STATUS_SHIFT));
}

/** Drops everything that the IOMMU keeps. */
export function encodeAmdAll(at: usize): void {
  setWords(at, opcode(AMD_ALL), 0);
}

@inline
export function amdOpcode(at: usize): u32 {
  return <u32>(word0(at) >> OPCODE_SHIFT);
}
/** Device of opcodes 2, 4 and 5. */
@inline
export function amdDevice(at: usize): u32 {
  return <u32>(word0(at) & DEVICE_MASK);
}
/** Domain of opcode 3. */
@inline
export function amdDomain(at: usize): u32 {
  return <u32>((word0(at) >> DOMAIN_SHIFT) & DOMAIN_MASK);
}
/** PASID of opcodes 3 and 4. */
export function amdPasid(at: usize): u32 {
  const low = word0(at);
  if (amdOpcode(at) == AMD_PAGES) return <u32>(low & PASID_MASK);
  return <u32>((((low >> 16) & 0xff) << 8) | ((low >> 48) & 0xff) | (((low >> 56) & 15) << 16));
}
/** MaxPend of opcode 4: how many such requests may be outstanding; 0 is taken as no limit (assumed). */
export function amdPending(at: usize): u32 {
  const pending = <u32>((word0(at) >> PENDING_SHIFT) & PENDING_MASK);
  return pending == 0 ? <u32>PENDING_MASK : pending;
}
/** Group and code of opcode 7. */
@inline
export function amdResponseGroup(at: usize): u32 {
  return <u32>((word1(at) >> TAG_SHIFT) & TAG_MASK);
}
@inline
export function amdResponseCode(at: usize): u32 {
  return <u32>((word1(at) >> STATUS_SHIFT) & STATUS_MASK);
}
/** Whether opcode 3 drops upper levels too. */
@inline
export function amdPde(at: usize): bool {
  return (word1(at) & PDE) != 0;
}
/** Whether opcodes 3 and 4 mean guest translations. */
@inline
export function amdGuest(at: usize): bool {
  return (word1(at) & GN) != 0;
}
/** Order of the block of opcodes 3 and 4; 52 = everything. */
export function amdOrder(at: usize): u32 {
  if ((word1(at) & S) == 0) return 0;
  const order = sizedOrder(word1(at));
  return order >= AMD_ALL_ORDER ? ORDER_ALL : order;
}
/** First page of that block. */
export function amdFirstPage(at: usize): u64 {
  return sizedPage(word1(at), amdOrder(at));
}
/** Whether a completion wait stores its data, raises an interrupt, holds back what is behind it. */
@inline
export function amdWaitStores(at: usize): bool {
  return (word0(at) & WAIT_STORE) != 0;
}
@inline
export function amdWaitInterrupt(at: usize): bool {
  return (word0(at) & WAIT_INTERRUPT) != 0;
}
@inline
export function amdWaitFence(at: usize): bool {
  return (word0(at) & WAIT_FLUSH) != 0;
}
/** Store address and data of a completion wait. */
@inline
export function amdWaitStore(at: usize): u64 {
  return word0(at) & STORE_MASK;
}
@inline
export function amdWaitData(at: usize): u64 {
  return word1(at);
}

// Page tables of one space in the arena: PTEs by page id, and leaf tables in order of address for ranges.
//
// PTE flags, one u32:  P present, W writable, A accessed, D dirty; SWP the page is in swap; ZERO it maps the shared
// zero page; LAZY MADV_FREE was said of it; CACHE it maps a page of the page cache; BUSY reclaim works on it.
import { region } from './layout';

export const PTE_P: u32 = 1;
export const PTE_W: u32 = 2;
export const PTE_A: u32 = 4;
export const PTE_D: u32 = 8;
export const PTE_SWP: u32 = 16;
export const PTE_ZERO: u32 = 32;
export const PTE_LAZY: u32 = 64;
export const PTE_CACHE: u32 = 128;
export const PTE_BUSY: u32 = 256;
/** The page was in memory before: its next fault reads it back. */
export const PTE_SEEN: u32 = 512;

/** log2 of the slots of a table. */
export const TABLE_LG2: u32 = 9;
const NONE: u32 = 0;

let vpns: usize = 0; //    u64[pages]
let tableOf: usize = 0; // u32[pages]
let flags: usize = 0; //   u32[pages]
let frames: usize = 0; //  u32[pages]
let kinds: usize = 0; //   u32[pages]
let readOnly: usize = 0; // u8[pages]: the program may not write it
export let touched: usize = 0; // u8[pages]: used since reclaim last looked
let slots: usize = 0; //   u32[tables << 9]: page id + 1
let keys: usize = 0; //    u64[tables], ascending: vpn >> 9
let order: usize = 0; //   u32[tables]: table of keys[i]
let uppers: usize = 0; //  u32[tables * 2]: the tables above a leaf table, one and two levels up
export let pageCount: u32 = 0;
export let tableCount: u32 = 0;

export function initTable(pages: u32, tables: u32): void {
  vpns = region(<usize>pages << 3);
  tableOf = region(<usize>pages << 2);
  flags = region(<usize>pages << 2);
  frames = region(<usize>pages << 2);
  kinds = region(<usize>pages << 2);
  readOnly = region(pages);
  touched = region(pages);
  slots = region(<usize>tables << (TABLE_LG2 + 2));
  keys = region(<usize>tables << 3);
  order = region(<usize>tables << 2);
  uppers = region(<usize>tables << 3);
  pageCount = 0;
  tableCount = 0;
}

/** The next leaf table: `key` = vpn >> 9. */
export function addTable(key: u64, upper: u32, top: u32): void {
  let at = tableCount;
  for (; at > 0 && load<u64>(keys + (<usize>(at - 1) << 3)) > key; at--) {
    store<u64>(keys + (<usize>at << 3), load<u64>(keys + (<usize>(at - 1) << 3)));
    store<u32>(order + (<usize>at << 2), load<u32>(order + (<usize>(at - 1) << 2)));
  }
  store<u64>(keys + (<usize>at << 3), key);
  store<u32>(order + (<usize>at << 2), tableCount);
  store<u32>(uppers + (<usize>tableCount << 3), upper);
  store<u32>(uppers + (<usize>tableCount << 3) + 4, top);
  tableCount++;
}

/** The next page, in a table that exists. */
export function addPage(vpn: u64, table: u32, kind: u32): u32 {
  const page = pageCount++;
  store<u64>(vpns + (<usize>page << 3), vpn);
  store<u32>(tableOf + (<usize>page << 2), table);
  store<u32>(kinds + (<usize>page << 2), kind);
  store<u32>(slots + ((<usize>table << TABLE_LG2) + (<usize>vpn & 511) << 2), page + 1);
  return page;
}

@inline
export function vpnOf(page: u32): u64 {
  return load<u64>(vpns + (<usize>page << 3));
}
@inline
export function tableOfPage(page: u32): u32 {
  return load<u32>(tableOf + (<usize>page << 2));
}
@inline
export function pte(page: u32): u32 {
  return load<u32>(flags + (<usize>page << 2));
}
@inline
export function setPte(page: u32, value: u32): void {
  store<u32>(flags + (<usize>page << 2), value);
}
@inline
export function frameOf(page: u32): u32 {
  return load<u32>(frames + (<usize>page << 2));
}
@inline
export function setFrameOf(page: u32, frame: u32): void {
  store<u32>(frames + (<usize>page << 2), frame);
}
@inline
export function kindOf(page: u32): u32 {
  return load<u32>(kinds + (<usize>page << 2));
}
@inline
export function setKind(page: u32, kind: u32): void {
  store<u32>(kinds + (<usize>page << 2), kind);
}
@inline
export function isReadOnly(page: u32): bool {
  return load<u8>(readOnly + page) != 0;
}
@inline
export function setReadOnly(page: u32, value: u32): void {
  store<u8>(readOnly + page, <u8>value);
}
/** A CPU or the device uses the page. */
@inline
export function touch(page: u32): void {
  store<u8>(touched + page, 1);
}
@inline
export function upperOf(table: u32): u32 {
  return load<u32>(uppers + (<usize>table << 3));
}
@inline
export function topOf(table: u32): u32 {
  return load<u32>(uppers + (<usize>table << 3) + 4);
}

// ---- ranges: position = place in the order of tables ----

/** First position whose table reaches `vpn` or lies behind it. */
export function firstTable(vpn: u64): u32 {
  const key = vpn >> TABLE_LG2;
  let low: u32 = 0;
  let high = tableCount;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (load<u64>(keys + (<usize>middle << 3)) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
@inline
export function tableAt(position: u32): u32 {
  return load<u32>(order + (<usize>position << 2));
}
@inline
export function keyAt(position: u32): u64 {
  return load<u64>(keys + (<usize>position << 3));
}
/** Page id + 1 in a slot of a table, or 0. */
@inline
export function pageIn(table: u32, slot: u32): u32 {
  return load<u32>(slots + ((<usize>table << TABLE_LG2) + slot << 2));
}
/** Page id + 1 of a page number, or 0 if no record of the trace names it. */
export function pageAt(vpn: u64): u32 {
  const position = firstTable(vpn);
  if (position == tableCount || keyAt(position) != vpn >> TABLE_LG2) return NONE;
  return pageIn(tableAt(position), <u32>vpn & 511);
}

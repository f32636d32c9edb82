// Page tables of all spaces in the arena: entries by page id, and leaf tables in order of address for ranges. An entry has
// two sides: what walkers read, a word of the machine's format; and what the kernel knows of the page, its flags.
//
// Flags, one u32:  P present, W writable, A accessed, D dirty; SWP the page is in swap; ZERO it maps the shared
// zero page; LAZY MADV_FREE was said of it; CACHE it maps a page of the page cache; BUSY reclaim or a migration works on it.
import {
  Format, FORMAT_AMD_V1, FORMAT_SECOND, HAS_1G, HAS_2M, HAS_XD, leafEntry, SETS_ACCESSED, SETS_DIRTY, tableEntry,
} from './format';
import { Intern, newIntern } from './intern';
import { fixed, region } from './layout';
import { mapPage, initMemory, pageAddress, pageIndex, setColumn, setSingles, wordIn, writeThin } from './memory';

export const PTE_P: u32 = 1;
export const PTE_W: u32 = 2;
export const PTE_A: u32 = 4;
export const PTE_D: u32 = 8;
export const PTE_SWP: u32 = 16;
export const PTE_ZERO: u32 = 32;
export const PTE_LAZY: u32 = 64;
export const PTE_CACHE: u32 = 128;
export const PTE_BUSY: u32 = 256;
/** A child maps the frame as well, or did: a write copies while somebody else refers to it. */
export const PTE_SHARED: u32 = 1024;
/** Pages of other processes map the frame: a write copies. */
export const PTE_MERGED: u32 = 2048;
/** The flags of the page disagree: reclaim gives up when the PTE is gone. */
export const PTE_MISMATCH: u32 = 4096;
/** A guest says that it does not use the page. */
export const PTE_UNUSED: u32 = 8192;
/** The page is broken. */
export const PTE_POISON: u32 = 16384;
/** The page was in memory before: its next fault reads it back. */
export const PTE_SEEN: u32 = 512;
/** It has a frame, and is out of reach: the next fault gives it back. */
export const PTE_AWAY: u32 = 32768;
/** A copy is made of it while it is out of reach: whoever faults waits (the page's lock). */
export const PTE_LOCKED: u32 = 65536;

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
let orders: usize = 0; //  u8[pages]: log2 of its 4 KiB pages
let slots: usize = 0; //   u32[tables << 9]: page id + 1
let keys: usize = 0; //    u64[tables], ascending: vpn >> 9
let order: usize = 0; //   u32[tables]: table of keys[i]
let links: usize = 0; //   u8[tables]: LINKED, UNLINKED, IS_FREED
let leaves: usize = 0; //  u32[tables]: 1 + index of its page in memory
let words: usize = 0; //   u64[pages]: entries as walkers read them
let upper: Intern = changetype<Intern>(0); // number and level of a table above -> index of its page in memory
let built: u32 = 0; //     pages of tables so far
export let pageCount: u32 = 0;
let leafCount: u32 = 0; // large ones among them
export let tableCount: u32 = 0;
/** Orders of leaves above 4 KiB that there may be, a bit each: 9 and 18. */
export let largeOrders: u32 = 0;
/** Bits of a page number that a command names. */
export let addressBits: u64 = u64.MAX_VALUE;
/** Of the tables of the machine. */
export const format: Format = changetype<Format>(memory.data(offsetof<Format>()));

/** Physical page number of the first table; frames have lower ones. */
const FIRST_TABLE: u64 = (<u64>1) << 32;

/**
 * Where tables are: names and places that stay as they are. `rules` and `levels`: FORMAT_* of all tables, and their levels;
 * `leaves`: orders of large ones.
 */
export function initPlaces(tables: u32, rules: u32, levels: u32, leaves: u32): void {
  largeOrders = leaves;
  format.rules = rules;
  format.levels = levels;
  format.width = 52;
  // Second stages in legacy mode, and AMD v1 without EFR.HASup, have no A and D.
  format.features = rules == FORMAT_SECOND || rules == FORMAT_AMD_V1 ? 0 : HAS_XD | SETS_ACCESSED | SETS_DIRTY;
  if ((leaves & (1 << TABLE_LG2)) != 0) format.features |= HAS_2M;
  if ((leaves & (1 << (2 * TABLE_LG2))) != 0) format.features |= HAS_1G;
  // At worst every leaf table has a path of its own.
  initMemory(tables * levels, 0, tables * levels);
  upper = newIntern(tables * levels);
  built = 0;
}
/** Room for `pages` pages in `tables` leaf tables. `process`: page numbers of one process, if two have the same addresses; or 0. */
export function initTable(pages: u32, tables: u32, process: u64 = 0): void {
  addressBits = process - 1;
  links = region(tables);
  leaves = fixed(<usize>tables << 2);
  words = region(<usize>pages << 3);
  setColumn(words);
  setSingles(region(<usize>(tables * format.levels) << 3));
  vpns = fixed(<usize>pages << 3);
  tableOf = fixed(<usize>pages << 2);
  flags = region(<usize>pages << 2);
  frames = region(<usize>pages << 2);
  kinds = region(<usize>pages << 2);
  readOnly = region(pages);
  touched = fixed(pages);
  orders = fixed(pages);
  slots = fixed(<usize>tables << (TABLE_LG2 + 2));
  keys = fixed(<usize>tables << 3);
  order = fixed(<usize>tables << 2);
  pageCount = leafCount = 0;
  tableCount = 0;
}

/** The next leaf table: `key` = vpn >> 9. */
export function addTable(key: u64): void {
  let at = tableCount;
  for (; at > 0 && load<u64>(keys + (<usize>(at - 1) << 3)) > key; at--) {
    store<u64>(keys + (<usize>at << 3), load<u64>(keys + (<usize>(at - 1) << 3)));
    store<u32>(order + (<usize>at << 2), load<u32>(order + (<usize>(at - 1) << 2)));
  }
  store<u64>(keys + (<usize>at << 3), key);
  store<u32>(order + (<usize>at << 2), tableCount);
  const page = newTablePage();
  store<u32>(leaves + (<usize>tableCount << 2), page);
  mapPage(page, slots + (<usize>tableCount << (TABLE_LG2 + 2)));
  if (format.levels > 1) link(key, 1, page);
  tableCount++;
}
/** 1 + the index of a page in memory for one more table. */
function newTablePage(): u32 {
  return pageIndex((FIRST_TABLE + <u64>(built++)) << 12);
}
/** The table above, which may be new, names the page of a table of a level. */
function link(number: u64, level: u32, page: u32): void {
  const above = number >> TABLE_LG2;
  const known = upper.find(above, level + 1);
  const table = known != 0 ? known : upper.id(above, level + 1, newTablePage() - 1) + 1;
  writeThin(table, (<u32>number & 511) << 3, tableEntry(format, level, pageAddress(page)));
  if (known == 0 && level + 1 < format.levels) link(above, level + 1, table);
}
/** 1 + the index of the page of a table of a level above the leaf tables, which may be new. */
function upperTable(number: u64, level: u32): u32 {
  const known = upper.find(number, level);
  if (known != 0) return known;
  const table = upper.id(number, level, newTablePage() - 1) + 1;
  if (level < format.levels) link(number, level, table);
  return table;
}
/** The entries above a leaf table say so, where a large leaf may have been in between. */
function linkAgain(table: u32, number: u64): void {
  let page = pageOfTable(table);
  for (let level: u32 = 1; level < format.levels; level++) {
    const above = upper.find(number >> TABLE_LG2, level + 1);
    const offset = (<u32>number & 511) << 3;
    const entry = tableEntry(format, level, pageAddress(page));
    if (load<u64>(wordIn(above, offset)) != entry) writeThin(above, offset, entry);
    page = above;
    number >>= TABLE_LG2;
  }
}
/** Whether the table above names a leaf table, */
export const LINKED: u32 = 0;
/** or does not any more, */
export const UNLINKED: u32 = 1;
/** and its page is somebody else's. It is given the same one when it is needed again (assumed). */
const IS_FREED: u32 = 2;

@inline
export function linkOf(table: u32): u32 {
  return load<u8>(links + table);
}
export function setFreed(table: u32): void {
  store<u8>(links + table, <u8>IS_FREED);
}
/** The table above a leaf table, `key` = vpn >> 9, does not name it any more. It does again when a page of it is present. */
export function unlinkTable(table: u32, key: u64): void {
  if (format.levels == 1) return;
  store<u8>(links + table, <u8>UNLINKED);
  writeThin(upper.find(key >> TABLE_LG2, 2), (<u32>key & 511) << 3, 0);
}
function relink(page: u32): void {
  const table = tableOfPage(page);
  store<u8>(links + table, <u8>LINKED);
  link(vpnOf(page) >> TABLE_LG2, 1, pageOfTable(table));
}
/** Address of the uppermost table that a page number belongs to. */
export function rootOf(vpn: u64): u64 {
  return pageAddress(upper.find(vpn >> (TABLE_LG2 * format.levels), format.levels));
}
/** Index in memory of the page of a leaf table, + 1. */
@inline
export function pageOfTable(table: u32): u32 {
  return load<u32>(leaves + (<usize>table << 2));
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

/** The next page that is a large leaf, of 2^order 4 KiB pages. */
export function addLeaf(vpn: u64, order: u32, kind: u32): u32 {
  const page = pageCount++;
  leafCount++;
  store<u64>(vpns + (<usize>page << 3), vpn);
  store<u8>(orders + page, <u8>order);
  store<u32>(kinds + (<usize>page << 2), kind);
  return page;
}
/**
 * Before a page is mapped whose place another one of another size may have had: the tables above are linked. Returns whether a
 * table is in the place of a large leaf, which will be gone (Linux drivers/iommu/intel/iommu.c switch_to_super_page).
 */
export function makePlace(page: u32): bool {
  if (leafCount == 0) return false;
  const order = orderOf(page);
  const number = vpnOf(page) >> TABLE_LG2;
  if (order == 0) {
    linkAgain(tableOfPage(page), number);
    return false;
  }
  const level: u32 = 1 + order / TABLE_LG2;
  const leaf = vpnOf(page) >> order;
  const table = upperTable(leaf >> TABLE_LG2, level);
  const offset = (<u32>leaf & 511) << 3;
  const replaces = load<u64>(wordIn(table, offset)) != 0;
  // What is above a leaf of 2 MiB may have been a leaf of 1 GiB.
  if (level < format.levels) link(leaf >> TABLE_LG2, level, table);
  return replaces;
}
/** log2 of the 4 KiB pages of a page. */
@inline
export function orderOf(page: u32): u32 {
  return largeOrders == 0 ? 0 : <u32>load<u8>(orders + page);
}
/** Whether the page and page numbers `first` .. `last` have one in common. */
@inline
export function liesIn(page: u32, first: u64, last: u64): bool {
  return meetsAt(page, vpnOf(page), first, last);
}
/** Whether a command for page numbers `first` .. `last` means the page. */
@inline
export function isNamed(page: u32, first: u64, last: u64): bool {
  return meetsAt(page, vpnOf(page) & addressBits, first, last);
}
@inline
function meetsAt(page: u32, vpn: u64, first: u64, last: u64): bool {
  return vpn <= last && (vpn >= first || (largeOrders != 0 && vpn + ((<u64>1 << orderOf(page)) - 1) >= first));
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
  writeWord(page, value, frameOf(page));
}
/** Whether hardware finds the page: it has a frame, and is not out of reach. */
@inline
export function isInReach(flags: u32): bool {
  return (flags & (PTE_P | PTE_AWAY)) == PTE_P;
}
@inline
function writeWord(page: u32, value: u32, frame: u32): void {
  const address = <u64>frame << 12;
  const present = isInReach(value);
  const order = orderOf(page);
  const word = present
    ? leafEntry(format, address, order != 0, (value & PTE_W) != 0, (value & PTE_A) != 0, (value & PTE_D) != 0)
    : 0;
  if (order != 0) {
    writeLarge(vpnOf(page) >> order, 1 + order / TABLE_LG2, word);
    return;
  }
  store<u64>(words + (<usize>page << 3), word);
  if (present && linkOf(tableOfPage(page)) != LINKED) relink(page);
}
function writeLarge(leaf: u64, level: u32, word: u64): void {
  writeThin(upperTable(leaf >> TABLE_LG2, level), (<u32>leaf & 511) << 3, word);
}
@inline
export function frameOf(page: u32): u32 {
  return load<u32>(frames + (<usize>page << 2));
}
/** Maps the page to a frame. */
@inline
export function setEntry(page: u32, value: u32, frame: u32): void {
  store<u32>(frames + (<usize>page << 2), frame);
  store<u32>(flags + (<usize>page << 2), value);
  writeWord(page, value, frame);
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
// ---- ranges: position = place in the order of tables ----

/** Position of the table that was asked for last: no state, for it is looked at before it is believed. */
let lastTable: u32 = 0;

/** First position whose table reaches `vpn` or lies behind it. */
export function firstTable(vpn: u64): u32 {
  const key = vpn >> TABLE_LG2;
  if (lastTable < tableCount && keyAt(lastTable) == key) return lastTable;
  lastTable = searchTable(key);
  return lastTable;
}
function searchTable(key: u64): u32 {
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

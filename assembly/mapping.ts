// DMA mappings: instances, their pages in the I/O page tables, the frames behind them. A page is (domain, IOVA page); it
// gets its id when its IOVA is first handed out.
import { add, bump, N_EXPOSED, N_MAPPED, N_S6, N_UNMAPPED } from './counters';
import { SPACE_PAGES_LG2 } from './command';
import { hazard, HAZARD_SHARED_DOMAIN_ID } from './hazard';
import { Intern, newIntern } from './intern';
import { region, setting } from './layout';
import { KIND_ANON, KIND_GONE, SET_DMA, SET_FRAMES, SET_INSTANCES, SET_IOVA, SET_LEAVES, SET_PAGES, SET_SPACES, SET_TABLES } from './ops';
import { countEmpty, oblige, openedBy, OWES_NOTHING, violation } from './safety';
import { markFreed, placePage, recheck } from './space';
import {
  addLeaf, addPage, addTable, largeOrders, makePlace, orderOf, pageCount, pageIn, PTE_A, PTE_D, PTE_P, PTE_W, setEntry, setKind, setPte, setReadOnly, TABLE_LG2, tableCount,
  vpnOf,
} from './table';

/** A mapping of the trace. The host writes `offset`, `pages`, `space` before the run. */
@unmanaged
export class Instance {
  page: u64; //   domain << 40 | IOVA page
  began: u64; //  when its unmap began, ps
  offset: u32; // of its first page in the column of frames
  pages: u32;
  space: u32;
  state: u32;
  landed: u32; // accesses that its unmap waits for and that are over
  taken: u32; //  pages of the IOVA allocation that it begins
}
export const INSTANCE_BYTES: u32 = 40;

export const IS_MAPPED: u32 = 1;
export const IS_ENDING: u32 = 2; //   its unmap has begun
export const IS_RETURNED: u32 = 3; // dma_unmap has returned

const TABLE_MASK: u32 = (1 << TABLE_LG2) - 1;

// What a number in `ids` is; pages are found by their tables.
const TABLES: u32 = 1;
const UPPERS: u32 = 2;
const LEAVES: u32 = 16; // and their order

let ids: Intern = changetype<Intern>(0);
let instances: usize = 0; // Instance[]
let frames: usize = 0; //    u32[pages of all instances]: frame of each page, written by the host
let live: usize = 0; //      u32[frames]: live mappings that cover it
let lives: usize = 0; //     u32[frames]: how often it was handed back with no mapping left
let leaves: usize = 0; //    u32[pages of all instances]: id of the leaf by which a page is mapped, from its map on
let born: usize = 0; //      u32[pages of all instances]: its frame's `lives` when nothing but memory was lent
let unmapped: usize = 0; //  u64[pages]: number of the unmap that its last invalidation must cover; 0 = covered
let built: usize = 0; //     u64[spaces]: page tables of the last two levels; none is given back
let flushed: usize = 0; //   u64[spaces]: unmaps that a flush of the domain has covered
let state: usize = 0; //     u64 unmaps so far
let hasLarge: bool = false; // there is a leaf of more than a page

export function initMappings(): void {
  const pages = setting(SET_PAGES);
  ids = newIntern((setting(SET_LEAVES) != 0 ? pages : 0) + setting(SET_TABLES) * 2);
  instances = region(<usize>setting(SET_INSTANCES) * INSTANCE_BYTES);
  frames = region(<usize>pages << 2);
  live = region(<usize>setting(SET_FRAMES) << 2);
  lives = region(<usize>setting(SET_FRAMES) << 2);
  leaves = region(<usize>pages << 2);
  born = region(<usize>pages << 2);
  unmapped = region(<usize>pages << 3);
  built = region(<usize>setting(SET_SPACES) << 3);
  flushed = region(<usize>setting(SET_SPACES) << 3);
  state = region(8);
  hasLarge = false;
}
export function instancesAt(): usize {
  return instances;
}
export function framesAt(): usize {
  return frames;
}
@inline
export function instance(id: u32): Instance {
  return changetype<Instance>(instances + <usize>id * INSTANCE_BYTES);
}
/** Frame of a page of an instance. */
@inline
export function frameAt(mapping: Instance, page: u32): u32 {
  return load<u32>(frames + (<usize>(mapping.offset + page) << 2));
}
/** Whether a live mapping of the domain covers the frame. */
@inline
function isLive(frame: u32): bool {
  return load<u32>(live + (<usize>frame << 2)) != 0;
}
@inline
function count(frame: u32, change: i32): void {
  const at = live + (<usize>frame << 2);
  store<u32>(at, load<u32>(at) + change);
}

/** Id of a page number. */
function pageId(vpn: u64): u32 {
  const table = tableId(vpn >> TABLE_LG2);
  const known = pageIn(table, <u32>vpn & TABLE_MASK);
  if (known != 0) return known - 1;
  const id = addPage(vpn, table, KIND_GONE);
  placePage(id);
  return id;
}
/** Every page that can be handed out has its id, from the highest down: in a race no order of maps must make a difference. */
export function nameAll(): void {
  for (let space: u32 = 0; space < setting(SET_SPACES); space++)
    for (let page = setting(SET_IOVA); page > 0; page--) pageId(spaceBase(space) + page);
}
/** Id + 1 of a page number, or 0 if it was never handed out. */
function knownPage(vpn: u64): u32 {
  const table = ids.find(vpn >> TABLE_LG2, TABLES);
  return table == 0 ? 0 : pageIn(table - 1, <u32>vpn & TABLE_MASK);
}

/** Whether a DID or DomainID stands for the tables of every domain. */
export function sharesDomains(): bool {
  return setting(SET_DMA) != 0 && hazard(HAZARD_SHARED_DOMAIN_ID);
}
/** Id + 1 of the page of a domain that has the tag of `page` when domains share theirs; 0 if there is none, or it is this one. */
export function aliasOf(page: u32, space: u32): u32 {
  const alias = knownPage(spaceBase(space) + (vpnOf(page) & (((<u64>1) << SPACE_PAGES_LG2) - 1)));
  return alias == page + 1 ? 0 : alias;
}

/** Id of a leaf of 2^order pages. */
function leafId(vpn: u64, order: u32): u32 {
  if (order == 0) return pageId(vpn);
  const next = pageCount;
  const id = ids.id(vpn, LEAVES + order, next);
  if (id != next) return id;
  hasLarge = true;
  if (order == TABLE_LG2) countUpper(vpn >> (2 * TABLE_LG2));
  placePage(addLeaf(vpn, order, KIND_GONE));
  return id;
}
/** 1 + the id of the leaf of 2^order pages in which a page number lies, or 0 if there never was one. */
export function findLeaf(vpn: u64, order: u32): u32 {
  return order == 0 ? knownPage(vpn) : ids.find((vpn >> order) << order, LEAVES + order);
}
/**
 * Order of the leaf by which a page of an instance is mapped: the largest that IOVA, frame and length allow (Linux
 * drivers/iommu/iommu.c iommu_pgsize). Frames that lie side by side have numbers that do, and are aligned alike.
 */
function orderAt(mapping: Instance, page: u32): u32 {
  for (let left = largeOrders; left != 0; ) {
    const order: u32 = 31 - <u32>clz(left);
    left ^= 1 << order;
    const pages: u32 = 1 << order;
    const within = <u32>(mapping.page + page) & (pages - 1);
    if (within > page || page - within + pages > mapping.pages) continue;
    if ((frameAt(mapping, page - within) & (pages - 1)) == 0) return order;
  }
  return 0;
}
/** Id of the leaf by which a page of an instance is mapped, or was. */
@inline
export function leafOf(mapping: Instance, page: u32): u32 {
  return load<u32>(leaves + (<usize>(mapping.offset + page) << 2));
}
@inline
function setLeaf(mapping: Instance, page: u32, id: u32): void {
  store<u32>(leaves + (<usize>(mapping.offset + page) << 2), id);
}
/** Leaves of an instance: the entries that its map and unmap write. */
export function leavesOf(mapping: Instance): u32 {
  if (largeOrders == 0) return mapping.pages;
  let count: u32 = 0;
  for (let i: u32 = 0; i < mapping.pages; i += 1 << orderOf(leafOf(mapping, i))) count++;
  return count;
}
function tableId(key: u64): u32 {
  const next = tableCount;
  const id = ids.id(key, TABLES, next);
  if (id != next) return id;
  hasLarge = true;
  countTable(key >> TABLE_LG2);
  countUpper(key >> TABLE_LG2);
  addTable(key);
  return id;
}
/** A table of the last two levels more, whose entry is in, or which is, the one with number `upper` above leaf tables. */
function countTable(upper: u64): void {
  const at = built + (<usize>(upper >> (SPACE_PAGES_LG2 - 2 * TABLE_LG2)) << 3);
  store<u64>(at, load<u64>(at) + 1);
}
function countUpper(upper: u64): void {
  if (ids.find(upper, UPPERS) == 0) countTable(upper);
  ids.id(upper, UPPERS, 0);
}

/** Page tables of a domain's last two levels. Linux gives one back only with an unmap of all that it spans. */
@inline
export function tablesOf(space: u32): u64 {
  return load<u64>(built + (<usize>space << 3));
}

/**
 * The mapping's PTEs are set, at the IOVA that it has been given. Returns whether tables had to make place: the walk caches
 * must not lead there any more.
 */
export function mapPages(mapping: Instance, writable: bool, now: u64, cursor: u32): bool {
  let replaces = false;
  for (let i: u32 = 0, size: u32 = 0; i < mapping.pages; i += size) {
    const order = orderAt(mapping, i);
    size = 1 << order;
    const id = leafId(mapping.page + i, order);
    cover(mapping, id, now, cursor);
    if (makePlace(id)) replaces = true;
    setEntry(id, PTE_P | PTE_A | (writable ? PTE_W | PTE_D : 0), frameAt(mapping, i));
    setKind(id, KIND_ANON);
    setReadOnly(id, writable ? 0 : 1);
    recheck(id, now);
    for (let page = i; page < i + size; page++) {
      setLeaf(mapping, page, id);
      count(frameAt(mapping, page), 1);
    }
    add(N_MAPPED, size);
  }
  return replaces;
}
/** S6: the invalidations that the last unmaps of this leaf, and of any in its place, needed must be complete. */
function cover(mapping: Instance, id: u32, now: u64, cursor: u32): void {
  const done = load<u64>(flushed + (<usize>mapping.space << 3));
  coverBy(id, id, done, now, cursor);
  if (!hasLarge || load<u64>(state) <= done) return;
  const own = orderOf(id);
  const vpn = vpnOf(id);
  for (let left = largeOrders | 1; left != 0; left &= left - 1) {
    const order = <u32>ctz(left);
    if (order == own) continue;
    for (let at = vpn, end = vpn + ((<u64>1) << own); at < end; at += (<u64>1) << order) {
      const old = findLeaf(at, order);
      if (old != 0) coverBy(id, old - 1, done, now, cursor);
    }
  }
}
@inline
function coverBy(id: u32, old: u32, done: u64, now: u64, cursor: u32): void {
  const before = load<u64>(unmapped + (<usize>old << 3));
  if (before > done) violation(N_S6, 6, id, 0, now, cursor);
  store<u64>(unmapped + (<usize>old << 3), 0);
}
/** Nothing is mapped, and the device may use the frames. */
export function lendFrames(mapping: Instance): void {
  for (let i: u32 = 0; i < mapping.pages; i++) {
    const frame = frameAt(mapping, i);
    count(frame, 1);
    store<u32>(born + (<usize>(mapping.offset + i) << 2), load<u32>(lives + (<usize>frame << 2)));
  }
}

/** The mapping's PTEs are cleared. */
export function unmapPages(mapping: Instance, now: u64): void {
  const number = load<u64>(state) + 1;
  store<u64>(state, number);
  for (let i: u32 = 0, size: u32 = 0; i < mapping.pages; i += size) {
    const id = leafOf(mapping, i);
    size = 1 << orderOf(id);
    store<u64>(unmapped + (<usize>id << 3), number);
    setPte(id, 0);
    setKind(id, KIND_GONE);
    recheck(id, now);
    countEmpty(id);
    add(N_UNMAPPED, size);
  }
}
export function takeFrames(mapping: Instance): void {
  for (let i: u32 = 0; i < mapping.pages; i++) {
    bump(N_UNMAPPED);
  }
  bump(N_EXPOSED);
}
/** dma_unmap returns from nothing: the frames are the driver's again. */
export function returnFrames(mapping: Instance): void {
  mapping.state = IS_RETURNED;
  for (let i: u32 = 0; i < mapping.pages; i++) {
    const frame = frameAt(mapping, i);
    count(frame, -1);
    const at = lives + (<usize>frame << 2);
    if (!isLive(frame)) store<u32>(at, load<u32>(at) + 1);
  }
}
/** Whether the frame of a page was handed back since it was lent, with no mapping left. */
export function wasReused(mapping: Instance, page: u32): bool {
  const frame = frameAt(mapping, page);
  return load<u32>(lives + (<usize>frame << 2)) != load<u32>(born + (<usize>(mapping.offset + page) << 2));
}

/** The mapping's own invalidation is complete. */
export function setCovered(mapping: Instance): void {
  for (let i: u32 = 0, id: u32 = 0; i < mapping.pages; i += 1 << orderOf(id)) {
    id = leafOf(mapping, i);
    store<u64>(unmapped + (<usize>id << 3), 0);
  }
}
/** Unmaps so far: what a flush of the domain that begins now will cover. */
@inline
export function unmaps(): u64 {
  return load<u64>(state);
}
@inline
export function setFlushed(space: u32, upTo: u64): void {
  const at = flushed + (<usize>space << 3);
  store<u64>(at, max(load<u64>(at), upTo));
}
/** First page number of a domain. */
@inline
export function spaceBase(space: u32): u64 {
  return <u64>space << SPACE_PAGES_LG2;
}

/** dma_unmap returns: old translations must be unusable, and the frames are the driver's again. */
export function handBack(mapping: Instance, now: u64): void {
  mapping.state = IS_RETURNED;
  for (let i: u32 = 0, size: u32 = 0; i < mapping.pages; i += size) {
    const id = leafOf(mapping, i);
    size = 1 << orderOf(id);
    // A window that is younger belongs to a later unmap of the same IOVA.
    if (openedBy(id, mapping.began)) oblige(id, now, OWES_NOTHING, true);
    for (let page = i; page < i + size; page++) {
      const frame = frameAt(mapping, page);
      count(frame, -1);
      if (!isLive(frame)) markFreed(frame);
    }
  }
}

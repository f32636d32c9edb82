// A space: page tables and a flat list of caches that hold its translations. A PTE change is one walk over that list,
// and so is an invalidation. One space for now: the mm.
//
// The caches are each CPU's three TLBs, the IOTLB, each device's TLB, and `flights`: translations that a device has been
// given and has not used yet. A consumer that does not share the tables has its own, a cache with a place for each page. Of
// several consumers each has all of these but the CPUs' TLBs; `turnTo` takes those of one in hand.
import {
  Cache, cacheAt, ENTRY_SHIFT, ENTRY_STALE, ENTRY_V, ENTRY_W, fill, find, placeId, removeAt, usedEnd,
} from './cache';
import { bank, banks, beginSwap, KEPT_BYTES, swap } from './bank';
import { domainOf, initBlocks, NO_PASID, tagId, tagsInUse } from './block';
import { bump, N_IOTLB_EVICTED, N_OVER } from './counters';
import { fixed, region, setting } from './layout';
import {
  SET_CPU_PDE_SETS, SET_CPUS, SET_DEVICE_TLB_SETS, SET_DEVICES, SET_FORMAT, SET_HUGE_IOTLB_SETS, SET_IDEAL, SET_IOMMU_PDE_SETS, SET_IOTLB_SETS, SET_L1D_SETS, SET_OWN_SETS,
  SET_L1I_SETS, SET_L2_SETS, SET_LARGE_IOTLB_SETS, SET_LEAVES, SET_LEVELS, SET_OUTSTANDING, SET_PAGES, SET_SPLIT, SET_TABLES, SET_WALK_DROPS,
} from './ops';
import { Flight, flight, flightCount, flightsInUse, initFlightPlaces, swapPlaces, SQUASHED_FILL, SQUASHED_WALK } from './places';
import { openWindows, staleCopyGone, staleCopyMade, staleCpuEntries, staleCpuGone, staleCpuMade } from './safety';
import {
  addressBits, format, frameOf, initPlaces, isInReach, isNamed, largeOrders, orderOf, pageAt, pte, PTE_D, PTE_W, rootOf, TABLE_LG2, vpnOf,
} from './table';
import { holdsBlock } from './tagged';
import { dropWalker, emptyWalker, newStageOf, newWalker, Stage, Walker } from './walk';
import { initWalked, markWalked } from './walked';

/** Bit of an entry's frame word: the frame was freed since. */
export const FREED: u32 = 1 << 31;
/** Frame word of an entry that says that the page is not present. */
export const ABSENT: u32 = 0x7fff_ffff;

/** One CPU's part of the space. */
@unmanaged
export class CpuCaches {
  l1i: Cache;
  l1d: Cache;
  l2: Cache;
  stage: Stage; // of its walks
  poked: u32; // entries of it have changed: its open runs are looked up again
}
const CPU_BYTES: usize = offsetof<CpuCaches>();

let stages: usize = 0; //  Stage per CPU, and the IOMMU's
let cpus: usize = 0; //    CpuCaches[cpuCount]
let devices: usize = 0; // u32[deviceCount]: space of each, written by the host; 0 without
let tlbs: usize = 0; //    Cache[deviceCount]
export let cpuCount: u32 = 0;
export let deviceCount: u32 = 0;
export let iotlb: Cache = changetype<Cache>(0);
// Of leaves of 2 MiB, and of 1 GiB; the same one, or structures of their own.
let largeIotlb: Cache = changetype<Cache>(0);
let hugeIotlb: Cache = changetype<Cache>(0);
/** A consumer's own table. */
export let own: Cache = changetype<Cache>(0);
/** Of the IOMMU's walks. */
export let iommuStage: Stage = changetype<Stage>(0);
let ideal: bool = false;
/** Whether CPUs have TLBs here; a recording of DMA has none of their accesses. */
let cpusTranslate: bool = false;
/** Whether an entry of a large leaf was ever filled; in runs without, nobody has to look for one. */
export let largeCopies: bool = false;

/** What is found once and stays: where tables are, numbers of blocks, stages. Before what is state. */
export function initNames(): void {
  const tables = setting(SET_TABLES);
  initPlaces(tables, setting(SET_FORMAT), setting(SET_LEVELS), setting(SET_LEAVES));
  initBlocks(tables * format.levels, tables);
  const count = setting(SET_CPUS) + 1;
  stages = region(<usize>count * sizeof<usize>());
  for (let i: u32 = 0; i < count; i++) {
    store<usize>(stages + <usize>i * sizeof<usize>(), changetype<usize>(newStageOf(format, changetype<Walker>(0))));
  }
}
/** The stage of a CPU, or behind those of all CPUs the IOMMU's. */
function stage(index: u32, walker: Walker): Stage {
  const stage = changetype<Stage>(load<usize>(stages + <usize>index * sizeof<usize>()));
  stage.walker = walker;
  return stage;
}

export function initSpace(): void {
  const pages = setting(SET_PAGES);
  cpuCount = setting(SET_CPUS);
  ideal = setting(SET_IDEAL) != 0;
  largeCopies = false;
  cpusTranslate = setting(SET_L1D_SETS) != 0;
  turned = 0;
  cpus = fixed(<usize>cpuCount * CPU_BYTES);
  for (let i: u32 = 0; i < cpuCount; i++) {
    const cpu = cpuCaches(i);
    cpu.l1i = cacheAt(SET_L1I_SETS, pages, i);
    cpu.l1d = cacheAt(SET_L1D_SETS, pages, i);
    cpu.l2 = cacheAt(SET_L2_SETS, pages, i);
    cpu.stage = stage(i, newWalker(SET_CPU_PDE_SETS, i));
  }
  initWalked(cpuCount);
  initSecondary();
}
/** What one consumer has. */
export function initSecondary(): void {
  const pages = setting(SET_PAGES);
  initFlightPlaces(setting(SET_OUTSTANDING));
  iotlb = cacheAt(SET_IOTLB_SETS, pages, 0);
  const split = setting(SET_SPLIT);
  largeIotlb = (split & 1) != 0 ? cacheAt(SET_LARGE_IOTLB_SETS, pages, 0) : iotlb;
  hugeIotlb = (split & 2) != 0 ? cacheAt(SET_HUGE_IOTLB_SETS, pages, 0) : iotlb;
  deviceCount = max<u32>(1, setting(SET_DEVICES));
  devices = fixed(<usize>deviceCount << 2);
  tlbs = fixed(<usize>deviceCount * sizeof<usize>());
  for (let i: u32 = 0; i < deviceCount; i++) {
    store<usize>(tlbs + <usize>i * sizeof<usize>(), changetype<usize>(cacheAt(SET_DEVICE_TLB_SETS, pages, i)));
  }
  const walker = newWalker(SET_IOMMU_PDE_SETS, 0);
  iommuStage = bank == 0 ? stage(cpuCount, walker) : newStageOf(format, walker);
  own = cacheAt(SET_OWN_SETS, pages, 0);
}

/** Whose are in hand, and those of the others. */
let turned: u32 = 0;
const kept: usize = memory.data(KEPT_BYTES);

/** Takes the caches of a consumer in hand. */
export function turnTo(next: u32): void {
  if (next == turned) return;
  beginSwap(kept, turned, next);
  swapPlaces();
  devices = swap(devices);
  tlbs = swap(tlbs);
  deviceCount = swap(deviceCount);
  iotlb = swap(iotlb);
  largeIotlb = swap(largeIotlb);
  hugeIotlb = swap(hugeIotlb);
  own = swap(own);
  iommuStage = swap(iommuStage);
  turned = next;
}

@inline
export function cpuCaches(index: u32): CpuCaches {
  return changetype<CpuCaches>(cpus + <usize>index * CPU_BYTES);
}
/** The IOTLB that a leaf of the size of a page goes into. */
@inline
export function iotlbOf(page: u32): Cache {
  const order = orderOf(page);
  return order == 0 ? iotlb : order == TABLE_LG2 ? largeIotlb : hugeIotlb;
}

/** The TLB of a device. */
@inline
export function deviceTlb(device: u32): Cache {
  return changetype<Cache>(load<usize>(tlbs + <usize>device * sizeof<usize>()));
}
/** Device of a place in flight. */
@inline
export function deviceOf(place: u32): u32 {
  return place / (flightCount / deviceCount);
}
export function devicesAt(): usize {
  return devices;
}
/** Space that a device is attached to. */
@inline
export function spaceOfDevice(device: u32): u32 {
  return load<u32>(devices + (<usize>device << 2));
}

/** Points a stage at the tables of a page. Returns the address that they translate. */
export function aim(stage: Stage, page: u32): u64 {
  const vpn = vpnOf(page);
  const bits = TABLE_LG2 * format.levels;
  const space = vpn >> bits;
  if (stage.aimed != space + 1) {
    stage.aimed = space + 1;
    stage.root = rootOf(vpn);
    stage.tag = tagId(<u32>space, NO_PASID);
  }
  return (vpn & (((<u64>1) << bits) - 1)) << 12;
}

/** Whether the IOMMU's walk caches have the leaf table of a page. */
export function holdsTable(page: u32): bool {
  const address = aim(iommuStage, page);
  return holdsBlock(iommuStage.walker.pde, iommuStage.tag, TABLE_LG2, address >> (12 + TABLE_LG2));
}

/** Tells every cache where a new page belongs. */
export function placePage(page: u32): void {
  const vpn = vpnOf(page) >> orderOf(page);
  for (let i: u32 = 0; i < cpuCount; i++) {
    const cpu = cpuCaches(i);
    place(cpu.l1i, page, vpn);
    place(cpu.l1d, page, vpn);
    place(cpu.l2, page, vpn);
  }
  const home = turned;
  for (let i: u32 = 0; i < banks; i++) {
    turnTo(i);
    place(iotlbOf(page), page, vpn);
    place(own, page, page);
    for (let j: u32 = 0; j < deviceCount; j++) place(deviceTlb(j), page, vpn);
  }
  turnTo(home);
}
function place(cache: Cache, page: u32, vpn: u64): void {
  if (cache.sets != 0) placeId(cache, page, <u32>(vpn % cache.sets));
}

// ---- a PTE changed ----

/** Whether a copy with this frame word and W bit still says what the page's PTE says. */
export function agrees(page: u32, frame: u32, writes: bool): bool {
  const flags = pte(page);
  return isInReach(flags) && frame == frameOf(page) && (!writes || (flags & (PTE_W | PTE_D)) == (PTE_W | PTE_D));
}

/** Compares every copy of the page with its PTE; what differs is stale, what agrees again is not. */
export function recheck(page: u32, now: u64): void {
  for (let i: u32 = 0; cpusTranslate && i < cpuCount; i++) {
    const cpu = cpuCaches(i);
    const changed = recheckCpu(cpu.l1i, page, now) | recheckCpu(cpu.l1d, page, now) | recheckCpu(cpu.l2, page, now);
    if (changed != 0) cpu.poked = 1;
  }
  if (banks == 1) {
    recheckSecondary(page, now);
    return;
  }
  const home = turned;
  for (let i: u32 = 0; i < banks; i++) {
    turnTo(i);
    recheckSecondary(page, now);
  }
  turnTo(home);
}
function recheckSecondary(page: u32, now: u64): void {
  recheckCopy(iotlbOf(page), page, now);
  recheckCopy(own, page, now);
  for (let i: u32 = 0; i < deviceCount; i++) recheckCopy(deviceTlb(i), page, now);
  for (let left = flightsInUse(); left != 0; left &= left - 1) {
    const held = flight(<u32>ctz(left));
    if (held.owner != page + 1 || held.holds == 0) continue;
    const stale: u32 = agrees(page, held.frame, held.written != 0) ? 0 : 1;
    if (stale == held.stale) continue;
    if (ideal && stale != 0) {
      held.squashed = SQUASHED_WALK | SQUASHED_FILL; // it lands as if it had come before the change
      continue;
    }
    held.stale = stale;
    if (stale != 0) staleCopyMade(page, now);
    else staleCopyGone(page, now);
  }
}

/** 1 if the cache's entry of the page changed its state, 0 if not. */
function recheckCpu(cache: Cache, page: u32, now: u64): u32 {
  const at = find(cache, page);
  if (at == 0) return 0;
  const stale = flip(cache, at, page);
  if (stale == 0) return 0;
  if (ideal) return 1;
  if (stale > 0) staleCpuMade(page, now);
  else staleCpuGone(page, now);
  return 1;
}
function recheckCopy(cache: Cache, page: u32, now: u64): void {
  const at = find(cache, page);
  if (at == 0) return;
  if (load<u32>(at, 4) == ABSENT) {
    if (ideal && isInReach(pte(page))) removeAt(cache, cache.set(page), at);
    return;
  }
  const stale = flip(cache, at, page);
  if (ideal) return;
  if (stale > 0) staleCopyMade(page, now);
  else if (stale < 0) staleCopyGone(page, now);
}
/** Sets the STALE bit as the PTE says: 1 it is stale now, -1 it is valid again, 0 nothing changed. */
function flip(cache: Cache, at: usize, page: u32): i32 {
  const low = load<u32>(at);
  const stale = !agrees(page, load<u32>(at + 4), (low & ENTRY_W) != 0);
  if (stale == ((low & ENTRY_STALE) != 0)) return 0;
  if (stale && ideal) removeAt(cache, cache.set(page), at);
  else store<u32>(at, low ^ ENTRY_STALE);
  return stale ? 1 : -1;
}

/** The frame is free: stale copies of it are marked, whatever page they were filled for. */
export function markFreed(frame: u32): void {
  const home = turned;
  for (let i: u32 = 0; i < banks; i++) {
    if (banks != 1) turnTo(i);
    markFreedSecondary(frame);
  }
  if (banks != 1) turnTo(home);
  markWalked(frame, FREED);
  for (let i: u32 = 0; staleCpuEntries() != 0 && i < cpuCount; i++) {
    const cpu = cpuCaches(i);
    markFreedIn(cpu.l1i, frame);
    markFreedIn(cpu.l1d, frame);
    markFreedIn(cpu.l2, frame);
  }
}
function markFreedSecondary(frame: u32): void {
  if (openWindows() != 0) {
    markFreedIn(iotlb, frame);
    if (largeIotlb != iotlb) markFreedIn(largeIotlb, frame);
    if (hugeIotlb != iotlb) markFreedIn(hugeIotlb, frame);
    markFreedIn(own, frame);
    for (let i: u32 = 0; i < deviceCount; i++) markFreedIn(deviceTlb(i), frame);
  }
  for (let left = flightsInUse(); left != 0; left &= left - 1) {
    const held = flight(<u32>ctz(left));
    if (held.holds != 0 && held.stale != 0 && isOf(held.page - 1, held.frame, frame)) held.frame |= FREED;
  }
}
/** Whether one of the copies in hand is stale. */
export function holdsStale(page: u32): bool {
  if (isStaleIn(iotlbOf(page), page) || isStaleIn(own, page)) return true;
  for (let i: u32 = 0; i < deviceCount; i++) if (isStaleIn(deviceTlb(i), page)) return true;
  for (let left = flightsInUse(); left != 0; left &= left - 1) {
    const held = flight(<u32>ctz(left));
    if (held.owner == page + 1 && held.holds != 0 && held.stale != 0) return true;
  }
  return false;
}
function isStaleIn(cache: Cache, page: u32): bool {
  const at = find(cache, page);
  return at != 0 && (load<u32>(at) & ENTRY_STALE) != 0;
}
function markFreedIn(cache: Cache, frame: u32): void {
  const end = cache.entries + (<usize>cache.sets * cache.ways << 3);
  for (let at = cache.entries; at < end; at += 8) {
    const low = load<u32>(at);
    if ((low & ENTRY_STALE) == 0) continue;
    const held = load<u32>(at + 4);
    if (isOf(low >> ENTRY_SHIFT, held, frame)) store<u32>(at + 4, held | FREED);
  }
}
/** Whether the frame is one of those of a translation of a page; a large leaf counts as freed with the first that is. */
@inline
function isOf(page: u32, held: u32, frame: u32): bool {
  return held == frame || (largeOrders != 0 && frame - held < (<u32>1 << orderOf(page)));
}

// ---- fills ----

/** Low word of an entry that says what the page's PTE says. */
@inline
export function entryOf(page: u32): u32 {
  const writes = (pte(page) & (PTE_W | PTE_D)) == (PTE_W | PTE_D);
  return (page << ENTRY_SHIFT) | ENTRY_V | (writes ? ENTRY_W : 0);
}

/** Low word of an entry with the translation that an access has. */
@inline
export function lowOf(held: Flight): u32 {
  return ((held.owner - 1) << ENTRY_SHIFT) | ENTRY_V | (held.written != 0 ? ENTRY_W : 0) | (held.stale != 0 ? ENTRY_STALE : 0);
}

/** Puts a translation into the IOTLB or the device TLB in place of an older one. */
export function fillCopy(cache: Cache, page: u32, low: u32, frame: u32, now: u64): void {
  if (cache.sets == 0) return;
  if (orderOf(page) != 0) largeCopies = true;
  const old = find(cache, page);
  const set = cache.set(page);
  if (old != 0) {
    if ((load<u32>(old) & ENTRY_STALE) != 0) staleCopyGone(page, now);
    removeAt(cache, set, old);
  }
  const evicted = <u32>fill(cache, set, (<u64>frame << 32) | low);
  if (evicted != 0) bump(N_IOTLB_EVICTED);
  if ((evicted & ENTRY_STALE) != 0) staleCopyGone(evicted >> ENTRY_SHIFT, now);
  if ((low & ENTRY_STALE) != 0) staleCopyMade(page, now);
}

/** The IOTLB is told that a page is not there. */
export function fillAbsent(page: u32, now: u64): void {
  fillCopy(iotlb, page, (page << ENTRY_SHIFT) | ENTRY_V, ABSENT, now);
}

/** Drops the entry of a page. Returns whether there was one. */
export function dropFrom(cache: Cache, page: u32, now: u64): bool {
  const at = find(cache, page);
  if (at == 0) return false;
  if ((load<u32>(at) & ENTRY_STALE) != 0) staleCopyGone(page, now);
  removeAt(cache, cache.set(page), at);
  return true;
}

// ---- invalidations ----

/** Drops the copies of pages `first` .. `last` (page numbers) from the IOTLB, of all sizes. */
export function dropIotlb(first: u64, last: u64, now: u64): void {
  dropCopies(iotlb, first, last, now);
  if (largeIotlb != iotlb) dropCopies(largeIotlb, first, last, now);
  if (hugeIotlb != iotlb) dropCopies(hugeIotlb, first, last, now);
}
/** Drops the copies of pages `first` .. `last` (page numbers) from the IOTLB or the device TLB. */
export function dropCopies(cache: Cache, first: u64, last: u64, now: u64): void {
  if (cache.sets == 0) return;
  // A few pages are asked for by name where that is less than to go through all entries.
  if (cache.tracks != 0 && last - first < (cache.sets * cache.ways) >> 3 && !largeCopies && addressBits == u64.MAX_VALUE) {
    for (let vpn = first; vpn <= last; vpn++) {
      const page = pageAt(vpn);
      const at: usize = page == 0 ? 0 : find(cache, page - 1);
      if (at != 0) dropAt(cache, cache.set(page - 1), at, now);
    }
    return;
  }
  const bytes = <usize>cache.ways << 3;
  const all = cache.entries + <usize>cache.sets * bytes;
  for (let set = cache.entries; set < all; set += bytes) {
    for (let at = usedEnd(cache, set) - 8; at >= set; at -= 8) {
      const low = load<u32>(at);
      if (low != 0 && isNamed(low >> ENTRY_SHIFT, first, last)) dropAt(cache, set, at, now);
    }
  }
}
function dropAt(cache: Cache, set: usize, at: usize, now: u64): void {
  const low = load<u32>(at);
  const absent = load<u32>(at, 4) == ABSENT;
  removeAt(cache, set, at);
  if ((low & ENTRY_STALE) != 0) staleCopyGone(low >> ENTRY_SHIFT, now);
  else if (!absent) bump(N_OVER);
}

/**
 * Drops what the IOMMU's walk caches have of the tables of pages `first` .. `last`: of all their space, or of those pages
 * alone, as hardware chooses (VT-d 6.5.2.3: at least those).
 */
export function dropTables(first: u64, last: u64): void {
  const walker = iommuStage.walker;
  const part = setting(SET_WALK_DROPS) != 0;
  const bits = TABLE_LG2 * format.levels;
  const space = <u32>(first >> bits);
  const ofOne = !part && tagsInUse() == 1;
  // What two processes have under one PASID goes together.
  if (last == u64.MAX_VALUE || addressBits != u64.MAX_VALUE || (ofOne && domainOf(1) == space)) emptyWalker(walker);
  else if (!ofOne) {
    const inSpace = (<u64>1 << bits) - 1;
    const end = part ? min(last - (first & ~inSpace), inSpace) : inSpace;
    dropWalker(walker, space, part ? first & inSpace : 0, end);
  }
}

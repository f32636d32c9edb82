// The one page walk, of every format, with caches of upper levels and through a second stage. A walk cache holds the
// address of a table, so a hit at the leaf table leaves one reference, one level up two, and so on (Intel SDM vol. 3A,
// 4.10.3; VT-d 6.2.5).
import { Cache, cacheAt, empty, newCache } from './cache';
import { add, bump, N_WALK_CACHE_HIT, N_WALK_CACHE_MISS, N_WALK_REFS, N_WALKS } from './counters';
import {
  decodeEntry, entryAddress, entryGrants, entryKind, ENTRY_ABSENT, ENTRY_BAD_LEVEL, ENTRY_LEAF, entryLevel, entryOrder,
  ENTRY_RESERVED, Format, FORMAT_AMD_V1, FORMAT_SECOND, GRANTS_ALL, GRANTS_EXECUTE, GRANTS_READ, GRANTS_USER, GRANTS_WRITE, isClean, marked, orderAt,
  PROTECTS_SUPERVISOR, reaches,
} from './format';
import { fixed, region } from './layout';
import { pageAddress, pageIndex, wordIn } from './memory';
import { ANY, dropBlocks, putBlock, useBlock } from './tagged';

@unmanaged
export class Walker {
  pde: Cache; //   leaf tables
  pdpte: Cache; // tables one level up
  pml4e: Cache; // two levels up
  pml5e: Cache;
  pml6e: Cache;

  /** The cache of tables of a level, 1 .. 5. */
  @inline at(level: u32): Cache {
    return changetype<Cache>(load<usize>(changetype<usize>(this) + <usize>(level - 1) * sizeof<usize>()));
  }
}

/** Walk caches of the geometry that begins at `index` in the settings; `cpu`: whose, 0 if the IOMMU's. */
export function newWalker(index: u32, cpu: u32): Walker {
  const walker = changetype<Walker>(fixed(offsetof<Walker>()));
  walker.pde = cacheAt(index, 0, cpu);
  walker.pdpte = cacheAt(index + 2, 0, cpu);
  walker.pml4e = cacheAt(index + 4, 0, cpu);
  walker.pml5e = walker.pml6e = newCache(0, 0, 0, 0);
  return walker;
}
/** Walk caches of every level, fully associative, of `ways` each. */
export function newWalkerOf(ways: u32): Walker {
  const walker = changetype<Walker>(fixed(offsetof<Walker>()));
  const sets: u32 = ways == 0 ? 0 : 1;
  walker.pde = newCache(sets, ways, 0, 0);
  walker.pdpte = newCache(sets, ways, 0, 0);
  walker.pml4e = newCache(sets, ways, 0, 0);
  walker.pml5e = newCache(sets, ways, 0, 0);
  walker.pml6e = newCache(sets, ways, 0, 0);
  return walker;
}

export function emptyWalker(walker: Walker): void {
  empty(walker.pde);
  empty(walker.pdpte);
  empty(walker.pml4e);
  empty(walker.pml5e);
  empty(walker.pml6e);
}

/** Drops the tables of pages `first` .. `last` of a domain, whatever the PASID. */
export function dropWalker(walker: Walker, domain: u32, first: u64, last: u64): void {
  for (let level: u32 = 1; level <= 5; level++) dropBlocks(walker.at(level), domain, ANY, first, last);
}

// ---- the walk ----

/** One stage of translation. */
@unmanaged
export class Stage {
  root: u64; //      address of the uppermost table: physical, or of the stage below
  format: Format;
  walker: Walker; // null: no walk caches
  below: Stage; //   translates the addresses of tables, and what comes out; null: nothing does
  tag: u32; //       of its walk-cache entries
  grants: u32; //    what the structure that names the root grants
  aimed: u64; //     1 + the space whose root and tag these are; 0: none
}

/** A new stage with a format of its own. */
export function newStage(): Stage {
  return newStageOf(changetype<Format>(region(offsetof<Format>())), changetype<Walker>(0));
}
/** A new stage of a format, with walk caches. */
export function newStageOf(format: Format, walker: Walker): Stage {
  const stage = changetype<Stage>(region(offsetof<Stage>()));
  stage.format = format;
  stage.walker = walker;
  stage.grants = GRANTS_ALL;
  return stage;
}
@inline
function hasBelow(stage: Stage): bool {
  return changetype<usize>(stage.below) != 0;
}

/** What a walk is asked for. Asked for nothing, it writes neither A nor D. */
export const ASKS_NOTHING: u32 = 0;
export const ASKS_READ: u32 = GRANTS_READ;
export const ASKS_WRITE: u32 = GRANTS_WRITE;
export const ASKS_EXECUTE: u32 = GRANTS_EXECUTE;
/** The request is a user's: entries without U do not serve it. */
export const ASKS_AS_USER: u32 = GRANTS_USER;

export const WALK_OK: u32 = 0;
export const WALK_ABSENT: u32 = 1;
export const WALK_RESERVED: u32 = 2;
export const WALK_DENIED: u32 = 3;
export const WALK_DENIED_USER: u32 = 4;
export const WALK_BAD_LEVEL: u32 = 5;
export const WALK_BEYOND: u32 = 6; //       the address is beyond what the tables reach
export const WALK_SKIPPED: u32 = 7; //      AMD v1: address bits of skipped levels are not zero
export const WALK_UNREACHABLE: u32 = 8; //  a table is where there is no memory
export const WALK_UNMARKABLE: u32 = 9; //   A or D cannot be written: the stage below does not let it

/** What a walk has found. */
@unmanaged
export class Found {
  address: u64;
  status: u32;
  order: u32; //   log2 of the 4 KiB pages of the smallest leaf that serves it
  grants: u32;
  below: u32; //   1: the stage below has refused
  clean: u32; //   1: the format has a D bit, and it is not set in a leaf
  leaf: usize; //  word of the leaf entry, and
  leafAddress: u64; // its address
  table: u32; //  1 + index of the page that the last entry was read from,
  level: u32; //  its level, and
  path: u32; //   what the path to it grants
}
const inner: Found = changetype<Found>(memory.data(offsetof<Found>()));

/** References of the last walk, in order, and its writes of A and D: addresses, then address and value. */
export const TRAIL_READS: u32 = 128;
export const TRAIL_WRITES: u32 = 64;
const trail: usize = memory.data((128 + 2 * 64) * 8);
export let reads: u32 = 0;
export let writes: u32 = 0;

export function trailAt(): usize {
  return trail;
}
/** Counts the last walk by its trail. Returns its references. */
export function countWalk(): u32 {
  bump(N_WALKS);
  bump(cachedAt != 0 ? N_WALK_CACHE_HIT : N_WALK_CACHE_MISS);
  add(N_WALK_REFS, reads);
  return reads;
}
/** Forgets the trail of what went before. */
export function newTrail(): void {
  reads = writes = 0;
}
/** A word of memory is read. */
export function noteRead(address: u64): void {
  assert(reads < TRAIL_READS);
  store<u64>(trail + (<usize>(reads++) << 3), address);
}
function noteWrite(address: u64, value: u64): void {
  assert(writes < TRAIL_WRITES);
  const at = trail + (<usize>TRAIL_READS << 3) + (<usize>(writes++) << 4);
  store<u64>(at, address);
  store<u64>(at, value, 8);
}

@inline
function refuse(found: Found, status: u32): u32 {
  found.status = status;
  return status;
}

/** The stage below has refused. */
@inline
function refuseBelow(found: Found, status: u32): u32 {
  found.below = 1;
  return refuse(found, status);
}

/** Whether a path that grants this serves what is asked. */
function check(format: Format, grants: u32, asks: u32): u32 {
  const user = (asks & ASKS_AS_USER) != 0;
  if (user && (grants & GRANTS_USER) == 0) return WALK_DENIED_USER;
  let needs = asks & GRANTS_ALL & ~GRANTS_USER;
  if (format.rules != FORMAT_AMD_V1 && !user && (format.features & PROTECTS_SUPERVISOR) == 0) needs &= ~GRANTS_WRITE;
  return (needs & ~grants) != 0 ? WALK_DENIED : WALK_OK;
}

/** Level of the table out of a walk cache that the last walk began at; 0: it began at the root. */
export let cachedAt: u32 = 0;

/** Level of the table that `cachedTable` has found. */
let matchedLevel: u32 = 0;

/** The lowest table of an address that a walk cache holds, as `fillTable` put it there, or 0. */
function cachedTable(stage: Stage, address: u64): u32 {
  const walker = stage.walker;
  if (changetype<usize>(walker) == 0) return 0;
  for (let level: u32 = 1; level < stage.format.levels; level++) {
    const value = useBlock(walker.at(level), stage.tag, orderAt(level + 1), address >> (12 + orderAt(level + 1)));
    if (value == 0) continue;
    matchedLevel = level;
    return value;
  }
  return 0;
}
/** A table that an entry names may be cached: its index, and what the path to it grants. */
function fillTable(stage: Stage, level: u32, address: u64, page: u32, grants: u32): void {
  const walker = stage.walker;
  if (changetype<usize>(walker) == 0 || page == 0) return;
  const order = orderAt(level + 1);
  putBlock(walker.at(level), stage.tag, order, address >> (12 + order), (page << 4) | grants);
}

/** Translates `address` for an access that `asks`. Reads and writes are added to the trail. Returns the status. */
export function walk(stage: Stage, address: u64, asks: u32, found: Found): u32 {
  const cached = cachedTable(stage, address);
  cachedAt = cached != 0 ? matchedLevel : 0;
  return walkFrom(stage, address, asks, found, cached, cached != 0 ? matchedLevel : stage.format.levels);
}
/**
 * Reads the last entry of a walk once more: a walk takes time, and what counts is what it says at its end. The walk has
 * been asked for nothing (ASKS_NOTHING), so that it has written neither A nor D.
 */
export function walkAgain(stage: Stage, address: u64, asks: u32, found: Found): u32 {
  return walkFrom(stage, address, asks, found, (found.table << 4) | found.path, found.level);
}

/** A walk that begins at a table of a level that a cache holds; 0 is the root. */
function walkFrom(stage: Stage, address: u64, asks: u32, found: Found, cached: u32, from: u32): u32 {
  const format = stage.format;
  found.below = found.grants = 0;
  if (!reaches(format, address)) return refuse(found, WALK_BEYOND);
  const second = format.rules == FORMAT_SECOND;
  let level = from;
  let grants = cached != 0 ? cached & GRANTS_ALL : stage.grants;
  let page = cached >> 4;
  let next = stage.root;
  while (true) {
    const offset = (<usize>(address >> (3 + 9 * level)) & 511) << 3;
    let markable = true;
    if (page == 0) {
      let table = next;
      if (hasBelow(stage)) {
        const status = walk(stage.below, next | offset, ASKS_READ, inner);
        if (status != WALK_OK) return refuseBelow(found, status);
        table = inner.address;
        markable = (inner.grants & GRANTS_WRITE) != 0;
      }
      page = pageIndex(table);
      if (level != format.levels) fillTable(stage, level, address, page, grants);
      cached = 0;
    }
    const at = page != 0 ? wordIn(page, offset) : 0;
    noteRead((page != 0 ? pageAddress(page) : next) | offset);
    if (at == 0) return refuse(found, WALK_UNREACHABLE);
    found.table = page;
    found.level = level;
    found.path = grants;
    const entry = load<u64>(at);
    decodeEntry(format, level, entry);
    if (entryKind == ENTRY_ABSENT) return refuse(found, WALK_ABSENT);
    // The second stage has no present bit, and an entry that does not allow the access is told before anything else.
    if (second && (asks & ~entryGrants & (GRANTS_READ | GRANTS_WRITE)) != 0) return refuse(found, WALK_DENIED);
    if (entryKind == ENTRY_RESERVED) return refuse(found, WALK_RESERVED);
    if (entryKind == ENTRY_BAD_LEVEL) return refuse(found, WALK_BAD_LEVEL);
    grants &= second ? entryGrants | GRANTS_USER : entryGrants;
    const leaf = entryKind == ENTRY_LEAF;
    if (leaf) {
      found.grants = grants;
      const status = second ? WALK_OK : check(format, grants, asks);
      if (status != WALK_OK) return refuse(found, status);
    }
    const value = asks == ASKS_NOTHING ? entry : marked(format, entry, leaf, (asks & ASKS_WRITE) != 0);
    if (value != entry) {
      // What the stage below allows is not known of a table out of a cache.
      if (cached != 0 && hasBelow(stage)) return walkFrom(stage, address, asks, found, 0, format.levels);
      if (!markable) return refuseBelow(found, WALK_UNMARKABLE);
      write(at, pageAddress(page) | offset, value);
      if (hasBelow(stage)) markDirty(stage.below, inner);
    }
    if (leaf) {
      found.clean = isClean(format, value) ? 1 : 0;
      found.leaf = at;
      found.leafAddress = pageAddress(page) | offset;
      return finish(stage, address, asks, found);
    }
    if (entryLevel + 1 != level) {
      const skipped = (address >> (12 + 9 * entryLevel)) & ((<u64>1 << (9 * (level - 1 - entryLevel))) - 1);
      if (skipped != 0) return refuse(found, WALK_SKIPPED);
    }
    level = entryLevel;
    next = entryAddress;
    page = 0;
  }
}

/** A leaf has been found: the address it gives, and what the stage below makes of that. */
function finish(stage: Stage, address: u64, asks: u32, found: Found): u32 {
  const offset = address & (((<u64>1 << entryOrder) << 12) - 1);
  found.address = entryAddress | offset;
  found.order = entryOrder;
  if (hasBelow(stage)) {
    const status = walk(stage.below, found.address, asks & (ASKS_READ | ASKS_WRITE), inner);
    if (status != WALK_OK) return refuseBelow(found, status);
    found.address = inner.address;
    found.order = min(found.order, inner.order);
    found.clean |= inner.clean;
    found.grants &= inner.grants | ~(GRANTS_READ | GRANTS_WRITE);
  }
  return refuse(found, WALK_OK);
}

/** A or D is written. */
function write(at: usize, address: u64, value: u64): void {
  store<u64>(at, value);
  noteWrite(address, value);
}
/** The page that a walk has found is written by the walker of the stage above. */
function markDirty(stage: Stage, found: Found): void {
  const entry = load<u64>(found.leaf);
  const value = marked(stage.format, entry, true, true);
  if (value != entry) write(found.leaf, found.leafAddress, value);
}

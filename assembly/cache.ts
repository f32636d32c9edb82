// The one set-associative structure: CPU TLB, IOTLB, device TLB and walk cache differ in keys, sizes and costs only.
//
// Entry, one u64:
//
//   63 ────────────── 32   31 ──────── 3   2       1   0
//   frame                  id              STALE   W   V
//
// id = page (or table) that the entry translates, dense, unique over all spaces. V = valid, so 0 is an empty way and
// zeroed memory is an empty cache. W = writable and already dirty: a write hits only then. STALE = the PTE has changed
// since; no lookup matches a stale entry, because the tag compared has the bit clear.
//
// A set is kept in order, first way first: LRU by last use, FIFO by fill; empty ways last. There are no stamps, so two
// sets with the same future hold the same bytes.
import { region } from './layout';

export const ENTRY_V: u32 = 1;
export const ENTRY_W: u32 = 2;
export const ENTRY_STALE: u32 = 4;
export const ENTRY_SHIFT: u32 = 3;

export const LRU: u32 = 0;
export const FIFO: u32 = 1;

/** Bytes of a way, as a shift. */
const WAY: usize = 3;

/** Geometry and place of one cache; lives in the arena. */
@unmanaged
export class Cache {
  sets: u32; //        any number, 0 = there is no such cache
  ways: u32;
  replacement: u32; // LRU or FIFO
  present: u32;
  entries: usize; //   u64[sets * ways]
  setOf: usize; //     u32[ids]: address of the set of an id

  @inline end(set: usize): usize {
    return set + (<usize>this.ways << WAY);
  }
  @inline set(id: u32): usize {
    return <usize>load<u32>(this.setOf + (<usize>id << 2));
  }
}

/** A cache of `sets` x `ways` for ids below `ids`. */
export function newCache(sets: u32, ways: u32, replacement: u32, ids: u32): Cache {
  const cache = changetype<Cache>(region(offsetof<Cache>()));
  cache.sets = sets;
  cache.ways = ways;
  cache.replacement = replacement;
  cache.entries = region(<usize>sets * ways << WAY);
  cache.setOf = region(<usize>ids << 2);
  return cache;
}

/** Tells the cache which set an id belongs to. Before its first use. */
@inline
export function placeId(cache: Cache, id: u32, set: u32): void {
  assert(set < cache.sets);
  store<u32>(cache.setOf + (<usize>id << 2), <u32>(cache.entries + (<usize>set * cache.ways << WAY)));
}

/** Moves the way at `at` to the front of its set: it was used last. */
@inline
function toFront(set: usize, at: usize): void {
  const entry = load<u64>(at);
  for (let way = at; way > set; way -= 8) store<u64>(way, load<u64>(way - 8));
  store<u64>(set, entry);
}

/**
 * Looks `want` up (an entry's low word) in `set` and makes it most recent. Returns whether it was there.
 * `mask` selects the bits that must agree: a read leaves W out.
 */
@inline
export function lookup(set: usize, end: usize, want: u32, mask: u32, replacement: u32): bool {
  if ((load<u32>(set) & mask) == want) return true;
  for (let at = set + 8; at < end; at += 8) {
    if ((load<u32>(at) & mask) == want) {
      if (replacement == LRU) toFront(set, at);
      return true;
    }
  }
  return false;
}

/** Puts `entry` in front; returns what fell out at the end: 0 while the set had room. */
@inline
export function fill(set: usize, end: usize, entry: u64): u64 {
  const last = end - 8;
  const evicted = load<u64>(last);
  for (let way = last; way > set; way -= 8) store<u64>(way, load<u64>(way - 8));
  store<u64>(set, entry);
  return evicted;
}

/** Address of the way that holds `id` in any state, or 0. Changes nothing. */
export function find(cache: Cache, id: u32): usize {
  if (cache.sets == 0) return 0;
  const set = cache.set(id);
  const end = cache.end(set);
  for (let at = set; at < end; at += 8) {
    const low = load<u32>(at);
    if (low >> ENTRY_SHIFT == id && low != 0) return at;
  }
  return 0;
}

/** Removes the way at `at` from the set that ends at `end`; the ways behind it move up, the last is empty. */
export function removeAt(at: usize, end: usize): void {
  for (let way = at; way + 8 < end; way += 8) store<u64>(way, load<u64>(way + 8));
  store<u64>(end - 8, 0);
}

/** Drops the entry of `id`. Returns it, or 0 if there was none. */
export function invalidate(cache: Cache, id: u32): u64 {
  const at = find(cache, id);
  if (at == 0) return 0;
  const entry = load<u64>(at);
  removeAt(at, cache.end(cache.set(id)));
  return entry;
}

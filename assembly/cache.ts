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
// LRU and FIFO keep a set in order, first way first: by last use, or by fill; empty ways last. There are no stamps, so two
// sets with the same future hold the same bytes. Other ways of replacement keep an entry in its place, and a mark beside
// it: see replacement.ts.
import { fixed, isPacked, region, setting } from './layout';
import { SET_L1I_SETS, SET_SEED, WAYS_BITS } from './ops';
import { draw, seedState } from './random';
import { countsRuns, emptied, filled, inPlace, LRU, RANDOM, used, victim } from './replacement';

export const ENTRY_V: u32 = 1;
export const ENTRY_W: u32 = 2;
export const ENTRY_STALE: u32 = 4;
export const ENTRY_SHIFT: u32 = 3;

/** Bytes of a way, as a shift. */
const WAY: usize = 3;
/** Bit of the address of an id's set, which is one of whole words: the cache may hold the id. */
const HELD: u32 = 1;
/** Bytes of four ways, which are looked at together. */
const FOUR: usize = 4 << WAY;

/** Geometry and place of one cache; lives in the arena. */
@unmanaged
export class Cache {
  sets: u32; //        any number, 0 = there is no such cache
  ways: u32;
  replacement: u32; // see replacement.ts
  random: u32; //      state of the generator of RANDOM
  entries: usize; //   u64[sets * ways]
  marks: usize; //     u32[sets * ways], where ways keep their places
  places: usize; //    u32[ids]: address of the set of an id, and HELD
  tracks: u32; //      1: HELD says exactly what the cache holds; 0: it is set for all ids

  @inline end(set: usize): usize {
    return set + (<usize>this.ways << WAY);
  }
  @inline set(id: u32): usize {
    return <usize>(this.place(id) & ~HELD);
  }
  /** False: the cache does not hold `id`, and needs no search. Most questions are about ids that it does not hold. */
  @inline mayHold(id: u32): bool {
    return (this.place(id) & HELD) != 0;
  }
  /** The set of an id that the cache may hold, or 0. */
  @inline heldSet(id: u32): usize {
    const place = this.place(id);
    return (place & HELD) != 0 ? <usize>(place ^ HELD) : 0;
  }
  @inline place(id: u32): u32 {
    return load<u32>(this.places + (<usize>id << 2));
  }
  /** Marks of a set, or of a way. */
  @inline marksOf(at: usize): usize {
    return this.marks + ((at - this.entries) >> 1);
  }
}

/** A cache of `sets` x `ways` for ids below `ids`. `seed`: of its own random choices, if it makes any. */
export function newCache(sets: u32, ways: u32, replacement: u32, ids: u32, seed: u32 = 0): Cache {
  const cache = changetype<Cache>(fixed(offsetof<Cache>()));
  cache.sets = sets;
  cache.ways = ways;
  cache.replacement = replacement;
  cache.entries = region(<usize>sets * ways << WAY);
  cache.marks = inPlace(replacement) ? region(<usize>sets * ways << 2) : 0;
  cache.places = fixed(<usize>ids << 2);
  // In a race places are no part of its states, and stay as they are.
  cache.tracks = ids != 0 && !isPacked() ? 1 : 0;
  seedState(changetype<usize>(cache) + offsetof<Cache>('random'), seed);
  return cache;
}

/**
 * The cache whose geometry stands at `index` of the settings. Its seed is that of the run and its place there, counted from
 * 1: L1I, L1D, L2, the CPU's walk caches from the leaf tables up, IOTLB, the IOMMU's walk caches, device TLB; 16 more for
 * each further CPU.
 */
export function cacheAt(index: u32, ids: u32, cpu: u32): Cache {
  const word = setting(index + 1);
  const seed = setting(SET_SEED) + 1 + ((index - SET_L1I_SETS) >> 1) + (cpu << 4);
  return newCache(setting(index), word & ((1 << WAYS_BITS) - 1), word >> WAYS_BITS, ids, seed);
}

/** Tells the cache which set an id belongs to. Before its first use. */
@inline
export function placeId(cache: Cache, id: u32, set: u32): void {
  assert(set < cache.sets);
  const at = <u32>(cache.entries + (<usize>set * cache.ways << WAY));
  store<u32>(cache.places + (<usize>id << 2), cache.tracks != 0 ? at : at | HELD);
}
/** The entry whose low word this is, if it is one, has come or gone. */
@inline
function track(cache: Cache, low: u32, held: u32): void {
  if (cache.tracks == 0 || low == 0) return;
  const at = cache.places + (<usize>(low >> ENTRY_SHIFT) << 2);
  store<u32>(at, (load<u32>(at) & ~HELD) | held);
}

/** Moves the way at `at` to the front of its set: it was used last. */
@inline
function toFront(set: usize, at: usize): void {
  const entry = load<u64>(at);
  for (let way = at; way > set; way -= 8) store<u64>(way, load<u64>(way - 8));
  store<u64>(set, entry);
}

/**
 * Looks `want` up (an entry's low word) in the set at `set`, and uses it. Returns the address of its way, or 0. `mask`
 * selects the bits that must agree: a read leaves W out.
 */
export function lookup(cache: Cache, set: usize, want: u32, mask: u32): usize {
  const end = cache.end(set);
  if (!inPlace(cache.replacement)) return lookupInOrder(set, end, want, mask, cache.replacement);
  for (let at = set; at < end; at += 8) {
    if ((load<u32>(at) & mask) != want) continue;
    used(cache.replacement, cache.marksOf(set), cache.ways, wayOf(set, at), 1);
    return at;
  }
  return 0;
}

/** Uses the way at `at`, which a `find` has come to. Returns the address of its entry from now on. */
export function use(cache: Cache, set: usize, at: usize): usize {
  if (cache.replacement == LRU) {
    toFront(set, at);
    return set;
  }
  if (inPlace(cache.replacement)) used(cache.replacement, cache.marksOf(set), cache.ways, wayOf(set, at), 1);
  return at;
}

/** The same in a set that is kept in order. For the loops that know: the hot ones. */
@inline
export function lookupInOrder(set: usize, end: usize, want: u32, mask: u32, replacement: u32): usize {
  const wants = i32x4.splat(want);
  const masks = i32x4.splat(mask);
  let at = set;
  for (; at + FOUR <= end; at += FOUR) {
    const same = i32x4.bitmask(i32x4.eq(v128.and(lowWords(at), masks), wants));
    if (same == 0) continue;
    const way = <usize>ctz(same);
    if (replacement != LRU) return at + (way << WAY);
    toFrontOfFours(set, at, way);
    return set;
  }
  for (; at < end; at += 8) {
    if ((load<u32>(at) & mask) != want) continue;
    if (replacement != LRU) return at;
    toFront(set, at);
    return set;
  }
  return 0;
}

/** Low words of four ways. */
@inline
function lowWords(at: usize): v128 {
  return v128.shuffle<u32>(v128.load(at), v128.load(at, 16), 0, 2, 4, 6);
}

/** By way that is used: which of four ways take what stands before them, a bit mask a pair. */
const MOVES: usize = memory.data<u64>([~0, 0, 0, 0, ~0, ~0, 0, 0, ~0, ~0, ~0, 0, ~0, ~0, ~0, ~0], 16);

/**
 * `toFront` of way `way` of the four at `at`; four is a divisor of the ways before. At which depth an access hits cannot be
 * foretold, so that within the four nothing branches: 1.1 of a run that hits. What is stored is pairs, as what has been
 * stored in parts is slow to load as a whole.
 */
@inline
function toFrontOfFours(set: usize, at: usize, way: usize): void {
  const entry = v128.load64_splat(at + (way << WAY));
  const first = v128.load(at);
  const second = v128.load(at, 16);
  const moves = MOVES + (way << 5);
  let before = at == set ? entry : v128.load(at - 16);
  v128.store(at, v128.bitselect(v128.shuffle<u64>(before, first, 1, 2), first, v128.load(moves)));
  v128.store(at, v128.bitselect(v128.shuffle<u64>(first, second, 1, 2), second, v128.load(moves, 16)), 16);
  if (at == set) return;
  for (let pair = at - 16; pair > set; pair -= 16) {
    const next = v128.load(pair - 16);
    v128.store(pair, v128.shuffle<u64>(next, before, 1, 2));
    before = next;
  }
  v128.store(set, v128.shuffle<u64>(entry, before, 0, 2));
}

/**
 * End of the ways of a set that may hold something: where a set is in order, empty ways are last, and an IOTLB of more than a
 * hundred ways has often but a few in use. It is come to by halves, so that a full set costs one look.
 */
export function usedEnd(cache: Cache, set: usize): usize {
  let end = cache.end(set);
  if (end - set <= 4 * FOUR || inPlace(cache.replacement)) return end;
  while (end - set > FOUR) {
    const middle = set + (((end - set) >> 1) & ~(FOUR - 1));
    if (load<u64>(middle) != 0) break;
    end = middle;
  }
  return end;
}

@inline
function wayOf(set: usize, at: usize): u32 {
  return <u32>((at - set) >> WAY);
}

/** Puts `entry` into the set; returns what had to make room: 0 while there was some. */
export function fill(cache: Cache, set: usize, entry: u64): u64 {
  const evicted = inPlace(cache.replacement) ? fillInPlace(cache, set, entry) : fillInOrder(cache, set, entry);
  track(cache, <u32>evicted, 0);
  track(cache, <u32>entry, HELD);
  return evicted;
}

@inline
function fillInOrder(cache: Cache, set: usize, entry: u64): u64 {
  const end = cache.end(set);
  if (load<u32>(set) == 0) {
    store<u64>(set, entry);
    return 0;
  }
  const evicted = load<u64>(end - 8);
  let way = min(usedEnd(cache, set), end - 8); // two at a time, for the same reason as in `find`
  for (; way >= set + 16; way -= 16) v128.store(way - 8, v128.load(way - 16));
  if (way > set) store<u64>(way, load<u64>(way - 8));
  store<u64>(set, entry);
  return evicted;
}

function fillInPlace(cache: Cache, set: usize, entry: u64): u64 {
  const end = cache.end(set);
  const marks = cache.marksOf(set);
  let at = set;
  while (at < end && load<u32>(at) != 0) at += 8;
  if (at == end) {
    const random = cache.replacement == RANDOM ? draw(changetype<usize>(cache) + offsetof<Cache>('random')) : 0;
    at = set + (<usize>victim(cache.replacement, marks, cache.ways, random) << WAY);
  }
  const evicted = load<u64>(at);
  store<u64>(at, entry);
  filled(cache.replacement, marks, cache.ways, wayOf(set, at));
  return evicted;
}

/** Address of the way that holds `id` in any state, or 0. Changes nothing. */
@inline
export function find(cache: Cache, id: u32): usize {
  return cache.mayHold(id) ? findIn(cache, cache.set(id), id) : 0;
}
/**
 * The same in the set at `set`. Four ways at a time: this is asked of every cache at each PTE change, and an IOTLB has more than
 * a hundred ways in a set.
 */
export function findIn(cache: Cache, set: usize, id: u32): usize {
  const want = (id << ENTRY_SHIFT) | ENTRY_V;
  const wants = i32x4.splat(want);
  const mask = i32x4.splat(~(ENTRY_STALE | ENTRY_W));
  const end = usedEnd(cache, set);
  let at = set;
  for (; at + FOUR <= end; at += FOUR) {
    const same = i32x4.bitmask(i32x4.eq(v128.and(lowWords(at), mask), wants));
    if (same != 0) return at + (<usize>ctz(same) << WAY);
  }
  for (; at < end; at += 8) if ((load<u32>(at) & ~(ENTRY_STALE | ENTRY_W)) == want) return at;
  return 0;
}

/** The entry of `id`, if there is one, is hit `times` times more in a row, by the rest of an access run. */
export function useAgain(cache: Cache, id: u32, times: u32): void {
  if (!countsRuns(cache.replacement)) return;
  const at = find(cache, id);
  if (at == 0) return;
  const set = cache.set(id);
  used(cache.replacement, cache.marksOf(set), cache.ways, wayOf(set, at), times);
}

/** Removes the way at `at` from its set; where a set is in order, the ways behind it move up. */
export function removeAt(cache: Cache, set: usize, at: usize): void {
  track(cache, load<u32>(at), 0);
  if (inPlace(cache.replacement)) {
    store<u64>(at, 0);
    emptied(cache.replacement, cache.marksOf(set), wayOf(set, at));
    return;
  }
  const last = cache.end(set) - 8;
  for (let way = at; load<u64>(way) != 0; way += 8) {
    if (way == last) {
      store<u64>(way, 0);
      return;
    }
    store<u64>(way, load<u64>(way + 8));
  }
}

/** Drops the entry of `id`. Returns it, or 0 if there was none. */
export function invalidate(cache: Cache, id: u32): u64 {
  const at = find(cache, id);
  if (at == 0) return 0;
  const entry = load<u64>(at);
  removeAt(cache, cache.set(id), at);
  return entry;
}

/** No id is in the cache any more. */
function forget(cache: Cache, end: usize): void {
  const ordered = !inPlace(cache.replacement);
  for (let set = cache.entries; set < end; set = cache.end(set)) {
    for (let at = set; at < cache.end(set); at += 8) {
      const low = load<u32>(at);
      if (low == 0 && ordered) break;
      track(cache, low, 0);
    }
  }
}

/** Drops everything. */
export function empty(cache: Cache): void {
  if (cache.sets == 0) return;
  const end = cache.entries + (<usize>cache.sets * cache.ways << WAY);
  if (cache.tracks != 0) forget(cache, end);
  if (cache.sets == 1 && !inPlace(cache.replacement)) {
    // Often there is but an entry or two, which takes less time than a call of memory.fill.
    for (let at = cache.entries; at < end && load<u64>(at) != 0; at += 8) store<u64>(at, 0);
    return;
  }
  memory.fill(cache.entries, 0, end - cache.entries);
  if (countsRuns(cache.replacement)) memory.fill(cache.marks, 0, <usize>cache.sets * cache.ways << 2);
}

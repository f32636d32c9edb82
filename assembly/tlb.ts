// Pure TLB statistics: two first levels, fetch and data, over a shared second level, not inclusive. The loop asks one
// question per record; everything inside a run is a hit and is counted by the host from the chunk's totals.
//
// Where all levels are LRU or FIFO they are sets of tags, and the loop is the fast one; any other replacement takes the
// caches of the machine.
import { Cache, ENTRY_SHIFT, ENTRY_V, fill, invalidate, lookup, newCache, placeId, useAgain } from './cache';
import { CHUNK_RECORDS, HEAD_OP, HEAD_SHIFT, HEAD_STRADDLE, OP_EVENT, OP_FETCH, openArena, region } from './layout';
import { countsRuns, inPlace, LRU } from './replacement';
import { drop, LINE, newTagSets, renewTimes, ROW, TagSets, use, useLine, useRow } from './tagset';

let heads: usize = 0; // u32[CHUNK_RECORDS], written by the host; then
let fetches: usize = 0; // u16[CHUNK_RECORDS] fetches, u16[CHUNK_RECORDS] data accesses, if tlbCountsRuns
let datas: usize = 0;
let places: usize = 0; // Place[ids], by page id
let homes: usize = 0; // u32[ids], by unit: a page in it
let touched: usize = 0; // u8[ids], by unit: it was accessed
let l1i: Cache = changetype<Cache>(0);
let l1d: Cache = changetype<Cache>(0);
let l2: Cache = changetype<Cache>(0);
let inOrder: bool = false; // all levels are tags:
let tags1i: TagSets = changetype<TagSets>(0);
let tags1d: TagSets = changetype<TagSets>(0);
let tags2: TagSets = changetype<TagSets>(0);
let rows: bool = false; // and both first levels are LRU in rows
let missing: usize = 0; // u32[CHUNK_RECORDS]: heads of what the first levels missed, up to
let missed: usize = 0;
let clock: u32 = 0; // of the tags
let hasL2: bool = false;
let stopAtEvents: bool = false;
let dataOnly: u32 = 0;
let firstHalfOnly: bool = false;

let fetchMisses: u32 = 0; // since the host last asked
let dataMisses: u32 = 0;
let l2Misses: u32 = 0;
let droppedFetches: u32 = 0; // second halves that are not accesses here, since the host last asked
let droppedDatas: u32 = 0;
let pages: u32 = 0; // units accessed
let fetchUnit: u32 = 0; // whose fetch run is open, and
let dataUnit: u32 = 0; //  whose data run

/** What the loop must know of a page. One line of memory, however random the pages are. */
@unmanaged
class Place {
  tag: u32; // unit + 1
  l1d: u32; // addresses of the unit's sets
  l1i: u32;
  l2: u32; //  and below
}
const PLACE: usize = 4;
/** Of `Place.l2`: the address; it was accessed; a second half in the page is in another unit than the first. */
const SET: u32 = ~3;
const TOUCHED: u32 = 2;
const CROSSES: u32 = 1;

/** The clock of the tags goes up by 2 a record. Behind this, times are made small before the next records are run. */
const LAST_CLOCK: u32 = 0 - 4 * CHUNK_RECORDS;

export const L1I: u32 = 0;
export const L1D: u32 = 1;
export const L2: u32 = 2;

/**
 * A new run for ids below `ids`, of pages and of units alike. A second level of 0 sets is none. `oneHalf`: an access across
 * two pages touches its first only. Returns the address of the heads.
 */
export function tlbInit(
  ids: u32,
  l1iSets: u32,
  l1iWays: u32,
  l1iReplacement: u32,
  l1dSets: u32,
  l1dWays: u32,
  l1dReplacement: u32,
  l2Sets: u32,
  l2Ways: u32,
  l2Replacement: u32,
  seed: u32,
  invalidates: u32,
  withoutFetches: u32,
  oneHalf: u32,
): usize {
  openArena();
  heads = region(<usize>CHUNK_RECORDS << 2);
  fetches = region(<usize>CHUNK_RECORDS << 1);
  datas = region(<usize>CHUNK_RECORDS << 1);
  places = region(<usize>ids << PLACE);
  homes = region(<usize>ids << 2);
  touched = region(ids);
  missing = region(<usize>CHUNK_RECORDS << 2);
  hasL2 = l2Sets != 0;
  inOrder = !inPlace(l1iReplacement) && !inPlace(l1dReplacement) && !(hasL2 && inPlace(l2Replacement));
  if (inOrder) {
    tags1i = newTagSets(l1iSets, l1iWays, l1iReplacement == LRU);
    tags1d = newTagSets(l1dSets, l1dWays, l1dReplacement == LRU);
    tags2 = newTagSets(l2Sets, l2Ways, l2Replacement == LRU);
    rows = tags1i.form == ROW && tags1i.lru && tags1d.form == ROW && tags1d.lru;
    // Not from 0: times are made small in any run of more than two chunks, not in those of billions of accesses alone.
    clock = LAST_CLOCK - 4 * CHUNK_RECORDS;
  } else {
    l1i = newCache(l1iSets, l1iWays, l1iReplacement, ids, seed + 1 + L1I);
    l1d = newCache(l1dSets, l1dWays, l1dReplacement, ids, seed + 1 + L1D);
    l2 = newCache(l2Sets, l2Ways, l2Replacement, ids, seed + 1 + L2);
  }
  stopAtEvents = invalidates != 0;
  dataOnly = withoutFetches;
  firstHalfOnly = oneHalf != 0;
  fetchMisses = dataMisses = l2Misses = droppedFetches = droppedDatas = pages = fetchUnit = dataUnit = 0;
  return heads;
}

/** Whether the loop needs the counts of the records: a first level must know how long a run is. */
export function tlbCountsRuns(): u32 {
  return !inOrder && (countsRuns(l1i.replacement) || countsRuns(l1d.replacement)) ? 1 : 0;
}

/** Which unit a page belongs to, and which sets the unit, before their first use. */
export function tlbPlace(page: u32, id: u32, crosses: u32, l1iSet: u32, l1dSet: u32, l2Set: u32): void {
  const place = placeOf(page);
  place.tag = id + 1;
  place.l2 = crosses;
  store<u32>(homes + (<usize>id << 2), page);
  if (inOrder) {
    place.l1i = tags1i.set(l1iSet);
    place.l1d = tags1d.set(l1dSet);
    place.l2 = tags2.set(l2Set) | crosses;
    return;
  }
  placeId(l1i, id, l1iSet);
  placeId(l1d, id, l1dSet);
  if (hasL2) placeId(l2, id, l2Set);
}

@inline
function placeOf(page: u32): Place {
  return changetype<Place>(places + (<usize>page << PLACE));
}

/** First-level miss: second level, then fill. */
function miss(first: Cache, set: usize, id: u32, want: u32): void {
  if (hasL2) {
    const set2 = l2.set(id);
    if (lookup(l2, set2, want, ~0) == 0) {
      l2Misses++;
      fill(l2, set2, want);
    }
  }
  fill(first, set, want);
  touch(id);
}

/** The first access to a unit is a miss of the first level. */
@inline
function touch(id: u32): void {
  const mark = touched + <usize>id;
  pages += 1 - load<u8>(mark);
  store<u8>(mark, 1);
}

/** Runs records `from` .. `count - 1` of `heads`. Returns `count`, or the index of the event it stopped at. */
export function tlbRun(from: u32, count: u32): u32 {
  return inOrder ? runInOrder(from, count) : runAny(from, count);
}

/** Forms that have loops of their own: types, since the compiler folds conditions on types alone. */
type Usual = bool; // first levels: LRU in rows; second: a line
type Any = u32;

/**
 * First levels, then the second on what they missed, since it has no say in what they hold: two short loops keep more accesses
 * in flight than a long one.
 */
function runInOrder(from: u32, count: u32): u32 {
  if (clock > LAST_CLOCK) {
    renewTimes(tags1i);
    renewTimes(tags1d);
    clock = renewTimes(tags2);
  }
  const start = heads + (<usize>from << 2);
  const end = heads + (<usize>count << 2);
  const at = rows ? firstLevels<Usual>(start, end) : firstLevels<Any>(start, end);
  const records = <u32>(at - start) >> 2;
  clock += records;
  if (tags2.form == LINE) secondLevel<Usual>();
  else secondLevel<Any>();
  clock += records;
  return from + records;
}

/** Runs records up to `end` through the first levels. Returns where it stopped. */
function firstLevels<Form>(start: usize, end: usize): usize {
  const tick = i32x4.splat(1);
  let now = i32x4.splat(clock);
  let out = missing;
  let at = start;
  while (true) {
    // The hot loop: nothing but accesses.
    for (; at < end; at += 4) {
      const head = load<u32>(at);
      if ((head & (HEAD_OP | HEAD_STRADDLE)) >= OP_EVENT) break;
      out = access<Form>(head, now, out);
      now = i32x4.add(now, tick);
    }
    if (at == end) break;
    const head = load<u32>(at);
    const op = head & HEAD_OP;
    if (op == OP_EVENT) {
      if (stopAtEvents) break;
    } else if (leftOut(head, placeOf(head >> HEAD_SHIFT).l2)) {
      leave(op);
    } else {
      out = access<Form>(head, now, out);
      now = i32x4.add(now, tick);
    }
    at += 4;
  }
  missed = out;
  return at;
}

/** One access; if it misses, its head goes to `out`. Returns where the next one does. */
@inline
function access<Form>(head: u32, now: v128, out: usize): usize {
  const place = placeOf(head >> HEAD_SHIFT);
  const fetch = <u32>((head & HEAD_OP) == OP_FETCH);
  const set = <usize>load<u32>(changetype<usize>(place) + <usize>(fetch << 2), offsetof<Place>('l1d'));
  if (isBoolean<Form>()) {
    if (useRow(set, v128.load_splat<u32>(changetype<usize>(place)), now, fetch & dataOnly, true)) return out;
  } else {
    if (use(fetch != 0 ? tags1i : tags1d, set, place.tag, now, fetch & dataOnly)) return out;
  }
  store<u32>(out, head);
  return out + 4;
}

/** Runs what the first levels missed through the second one. */
function secondLevel<Form>(): void {
  const tick = i32x4.splat(1);
  let now = i32x4.splat(clock);
  let hits = i32x4.splat(0);
  let fetched: u32 = 0;
  for (let at = missing; at < missed; at += 4) {
    const head = load<u32>(at);
    const place = placeOf(head >> HEAD_SHIFT);
    const set = place.l2;
    place.l2 = set | TOUCHED;
    fetched += <u32>((head & HEAD_OP) == OP_FETCH);
    if (isBoolean<Form>()) {
      hits = i32x4.sub(hits, useLine(tags2, set & SET, v128.load_splat<u32>(changetype<usize>(place)), now));
    } else if (hasL2 && use(tags2, set & SET, place.tag, now, 0)) {
      hits = i32x4.add(hits, tick);
    }
    now = i32x4.add(now, tick);
  }
  const all = <u32>(missed - missing) >> 2;
  fetchMisses += fetched;
  dataMisses += all - fetched;
  if (hasL2) l2Misses += all - i32x4.extract_lane(hits, 0);
}

/** Whether a second half is no access here. */
@inline
function leftOut(head: u32, l2: u32): bool {
  return (head & HEAD_STRADDLE) != 0 && (firstHalfOnly || (l2 & CROSSES) == 0);
}
@inline
function leave(op: u32): void {
  if (op == OP_FETCH) droppedFetches++;
  else droppedDatas++;
}

/** The same for any replacement; it follows the open runs too, for those that count hits. */
function runAny(from: u32, count: u32): u32 {
  const counts = tlbCountsRuns() != 0;
  for (let i = from; i < count; i++) {
    const head = load<u32>(heads + (<usize>i << 2));
    const op = head & HEAD_OP;
    if (op == OP_EVENT) {
      if (stopAtEvents) return i;
      continue;
    }
    const place = placeOf(head >> HEAD_SHIFT);
    const out = leftOut(head, place.l2);
    const id = place.tag - 1;
    if (out) leave(op);
    else if (op == OP_FETCH && dataOnly == 0) {
      if (!begins(l1i, id)) fetchMisses++;
      fetchUnit = id;
    } else if (op != OP_FETCH) {
      if (!begins(l1d, id)) dataMisses++;
      dataUnit = id;
    }
    if (!counts) continue;
    const fetched: u32 = load<u16>(fetches + (<usize>i << 1));
    const accessed: u32 = load<u16>(datas + (<usize>i << 1));
    if (dataOnly == 0) goOn(l1i, fetchUnit, fetched - (op == OP_FETCH ? 1 : 0));
    goOn(l1d, dataUnit, accessed - (op == OP_FETCH ? 0 : 1));
  }
  return count;
}

/** The first access of a run. Returns whether it hits. */
function begins(first: Cache, id: u32): bool {
  const set = first.set(id);
  const want = (id << ENTRY_SHIFT) | ENTRY_V;
  if (lookup(first, set, want, ~0) != 0) return true;
  miss(first, set, id, want);
  return false;
}

/** `times` more accesses of the open run; nothing has come between them and its last that could have taken its entry. */
function goOn(first: Cache, id: u32, times: u32): void {
  if (times != 0) useAgain(first, id, times);
}

/** Drops `id` from one level (L1I, L1D, L2). Returns 1 if it was there. */
export function tlbInvalidate(level: u32, id: u32): u32 {
  if (level == L2 && !hasL2) return 0;
  if (inOrder) {
    const place = placeOf(load<u32>(homes + (<usize>id << 2)));
    const tags = level == L1I ? tags1i : level == L1D ? tags1d : tags2;
    return drop(tags, level == L1I ? place.l1i : level == L1D ? place.l1d : place.l2 & SET, id + 1) ? 1 : 0;
  }
  return invalidate(level == L1I ? l1i : level == L1D ? l1d : l2, id) != 0 ? 1 : 0;
}

/** Misses of one level since the last call for it; called at least once a chunk, so that u32 is enough. */
export function tlbMisses(level: u32): u32 {
  const misses = level == L1I ? fetchMisses : level == L1D ? dataMisses : l2Misses;
  if (level == L1I) fetchMisses = 0;
  else if (level == L1D) dataMisses = 0;
  else l2Misses = 0;
  return misses;
}

/** Second halves left out, of fetches (L1I) or of data accesses (L1D), since the last call for them. */
export function tlbDropped(level: u32): u32 {
  const dropped = level == L1I ? droppedFetches : droppedDatas;
  if (level == L1I) droppedFetches = 0;
  else droppedDatas = 0;
  return dropped;
}

/** Units accessed so far. */
export function tlbPages(): u32 {
  for (let at = places; at < homes; at += 1 << PLACE) {
    const place = changetype<Place>(at);
    if ((place.l2 & TOUCHED) != 0) touch(place.tag - 1);
  }
  return pages;
}

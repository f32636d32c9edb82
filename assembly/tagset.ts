// Sets of tags and nothing else: what TLB statistics need of a cache, and all that they need. The machine's caches (cache.ts)
// have frames and marks beside their tags.
//
//   row   up to 4 ways:    4 tags, 4 times
//   line  up to 16 ways:  16 tags, 16 times
//   wide  more: tags alone, the last used (LRU) or filled (FIFO) first, so that a search finds early what was used of late
//
// The time of a tag is that of its last use, or of its fill; the least makes room. Tags do not move, and nothing branches on
// where one stands, which is as good as random. Rows and lines are stored by whole vectors, at addresses that do not depend on
// what was found: on random accesses twice as fast as stores to one way, which later loads have to wait for.
//
// Ways behind the last have no tag, and the greatest time. No tag is 0, no time, and no two times of a set are the same.
import { fixed, region } from './layout';

/** Forms of a set, by the ways that fit. */
export const ROW: u32 = 4;
export const LINE: u32 = 16;
const WIDE: u32 = ~0;

const LANES: u32 = 4;
const BYTES: u32 = 16;
const ROW_BYTES: u32 = ROW << 2;
const LINE_BYTES: u32 = LINE << 2;

/** The time of what is never to make room. */
const NEVER: u32 = ~0;
/** The time of an empty way, and of the last when times have been made small. */
const EMPTY: u32 = 1;
const RENEWED: u32 = EMPTY + 2 * LINE;

/** [last] -> the shuffle that moves lanes 0..last-1 one up, and leaves those behind `last` in place. */
const SHIFT: usize = memory.data<u8>([
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
  0, 1, 2, 3, 0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15,
  0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15,
  0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
]); // prettier-ignore

/** Geometry and place of one such cache; lives in the arena. */
@unmanaged
export class TagSets {
  sets: u32; //  0 = there is no such cache
  ways: u32;
  form: u32; //  ROW, LINE or WIDE
  bytes: u32; // of a set
  lru: bool; //  a hit is a use
  base: usize;

  /** Address of a set. */
  @inline set(index: u32): u32 {
    return <u32>this.base + index * this.bytes;
  }
}

/** Empty sets. */
export function newTagSets(sets: u32, ways: u32, lru: bool): TagSets {
  const tags = changetype<TagSets>(fixed(offsetof<TagSets>()));
  tags.sets = sets;
  tags.ways = ways;
  tags.form = ways <= ROW ? ROW : ways <= LINE ? LINE : WIDE;
  tags.bytes = tags.form == WIDE ? ((ways + LANES - 1) / LANES) * BYTES : tags.form << 3;
  tags.lru = lru;
  tags.base = region(<usize>sets * tags.bytes);
  if (tags.form == WIDE) return tags;
  for (let set: u32 = 0; set < sets; set++) {
    for (let way: u32 = 0; way < tags.form; way++) store<u32>(timeAt(tags, set, way), way < ways ? EMPTY + way : NEVER);
  }
  return tags;
}

/** Where the time of a way is. */
@inline
function timeAt(tags: TagSets, set: u32, way: u32): usize {
  return <usize>(tags.set(set) + ((tags.form + way) << 2));
}

/** Makes all times small: it is their order that counts. Returns one behind all of them. */
export function renewTimes(tags: TagSets): u32 {
  for (let set: u32 = 0; tags.form != WIDE && set < tags.sets; set++) {
    let ranks: u64 = 0; // 4 bits a way
    for (let way: u32 = 0; way < tags.ways; way++) {
      const time = load<u32>(timeAt(tags, set, way));
      let rank: u64 = 0;
      for (let other: u32 = 0; other < tags.ways; other++) rank += <u64>(load<u32>(timeAt(tags, set, other)) < time);
      ranks |= rank << (way << 2);
    }
    for (let way: u32 = 0; way < tags.ways; way++) {
      store<u32>(timeAt(tags, set, way), EMPTY + LINE + (<u32>(ranks >> (way << 2)) & (LINE - 1)));
    }
  }
  return RENEWED;
}

/**
 * An access at `now` to `tag`, whose set is at `set`: if it is not there, another makes room for it. Returns whether it was, and
 * true in any case if `always` is 1.
 */
@inline
export function use(tags: TagSets, set: usize, tag: u32, now: v128, always: u32): bool {
  if (tags.form == ROW) return useRow(set, i32x4.splat(tag), now, always, tags.lru);
  if (tags.form == WIDE) return always != 0 || inFront(tags, set, tag) || useWide(tags, set, tag);
  const wanted = i32x4.splat(tag);
  return hitLine(tags, set, wanted, now, always) || v128.any_true(useLine(tags, set, wanted, now));
}

/** The same in a row, where most accesses hit. */
@inline
export function useRow(set: usize, tag: v128, now: v128, always: u32, lru: bool): bool {
  const row = v128.load(set);
  const hits = i32x4.eq(row, tag);
  const times = v128.load(set, ROW_BYTES);
  if ((<u32>i32x4.bitmask(hits) | always) != 0) {
    if (lru) v128.store(set, later(times, now, hits), ROW_BYTES);
    return true;
  }
  const oldest = i32x4.eq(times, least(times));
  v128.store(set, v128.bitselect(tag, row, oldest));
  v128.store(set, later(times, now, oldest), ROW_BYTES);
  return false;
}

/** The same in a line, if it hits. */
@inline
function hitLine(tags: TagSets, set: usize, tag: v128, now: v128, always: u32): bool {
  const hits0 = i32x4.eq(v128.load(set), tag);
  const hits1 = i32x4.eq(v128.load(set, BYTES), tag);
  const hits2 = i32x4.eq(v128.load(set, 2 * BYTES), tag);
  const hits3 = i32x4.eq(v128.load(set, 3 * BYTES), tag);
  const any = v128.or(v128.or(hits0, hits1), v128.or(hits2, hits3));
  if ((<u32>i32x4.bitmask(any) | always) == 0) return false;
  if (!tags.lru) return true;
  v128.store(set, later(v128.load(set, LINE_BYTES), now, hits0), LINE_BYTES);
  v128.store(set, later(v128.load(set, LINE_BYTES + BYTES), now, hits1), LINE_BYTES + BYTES);
  v128.store(set, later(v128.load(set, LINE_BYTES + 2 * BYTES), now, hits2), LINE_BYTES + 2 * BYTES);
  v128.store(set, later(v128.load(set, LINE_BYTES + 3 * BYTES), now, hits3), LINE_BYTES + 3 * BYTES);
  return true;
}

/** The same in a line, hit or miss: the tag, if it is there, counts as the oldest. Returns all ones for a hit, 0 for a miss. */
@inline
export function useLine(tags: TagSets, set: usize, tag: v128, now: v128): v128 {
  const tags0 = v128.load(set);
  const tags1 = v128.load(set, BYTES);
  const tags2 = v128.load(set, 2 * BYTES);
  const times0 = v128.load(set, LINE_BYTES);
  const times1 = v128.load(set, LINE_BYTES + BYTES);
  const times2 = v128.load(set, LINE_BYTES + 2 * BYTES);
  const ages0 = unless(tag, tags0, times0);
  const ages1 = unless(tag, tags1, times1);
  const ages2 = unless(tag, tags2, times2);
  let ages = i32x4.min_u(i32x4.min_u(ages0, ages1), ages2);
  // Few caches have more than 12 ways.
  const full = tags.ways > 3 * LANES;
  if (full) ages = i32x4.min_u(ages, unless(tag, v128.load(set, 3 * BYTES), v128.load(set, LINE_BYTES + 3 * BYTES)));
  const oldest = least(ages);
  const hit = i32x4.eq(oldest, i32x4.splat(0));
  const time = tags.lru ? now : v128.andnot(now, hit);
  put(set, tags0, times0, i32x4.eq(ages0, oldest), tag, time);
  put(set + BYTES, tags1, times1, i32x4.eq(ages1, oldest), tag, time);
  put(set + 2 * BYTES, tags2, times2, i32x4.eq(ages2, oldest), tag, time);
  if (full) {
    const tags3 = v128.load(set, 3 * BYTES);
    const times3 = v128.load(set, LINE_BYTES + 3 * BYTES);
    put(set + 3 * BYTES, tags3, times3, i32x4.eq(unless(tag, tags3, times3), oldest), tag, time);
  }
  return hit;
}

/** Times, 0 where `tag` is. */
@inline
function unless(tag: v128, tags: v128, times: v128): v128 {
  return v128.andnot(times, i32x4.eq(tags, tag));
}

/** Puts a tag and its time into a vector of a line, where `which` is all ones. */
@inline
function put(at: usize, tags: v128, times: v128, which: v128, tag: v128, time: v128): void {
  v128.store(at, v128.bitselect(tag, tags, which));
  v128.store(at, later(times, time, which), LINE_BYTES);
}

/** Times, where `which` is all ones a later one. */
@inline
function later(times: v128, time: v128, which: v128): v128 {
  return i32x4.max_u(times, v128.and(time, which));
}

/** The least of four lanes, in each of them. */
@inline
function least(lanes: v128): v128 {
  const halves = i32x4.min_u(lanes, i32x4.shuffle(lanes, lanes, 2, 3, 0, 1));
  return i32x4.min_u(halves, i32x4.shuffle(halves, halves, 1, 0, 3, 2));
}

/** Whether it is one of the two tags that were used last. */
@inline
function inFront(tags: TagSets, set: usize, tag: u32): bool {
  const two = load<u64>(set);
  if (<u32>two == tag) return true;
  if (<u32>(two >> 32) != tag) return false;
  if (tags.lru) store<u64>(set, rotl(two, 32));
  return true;
}

/** The same in a wide set, whose first two tags are others. */
function useWide(tags: TagSets, set: usize, tag: u32): bool {
  const wanted = i32x4.splat(tag);
  const end = set + tags.bytes;
  let at = set;
  let hits: u32 = 0;
  for (; at < end; at += BYTES) {
    hits = <u32>i32x4.bitmask(i32x4.eq(v128.load(at), wanted));
    if (hits != 0) break;
  }
  if (hits != 0 && !tags.lru) return true;
  const last = hits != 0 ? (<u32>(at - set) >> 2) + ctz(hits) : tags.ways - 1;
  const stop = set + <usize>((last / LANES) * BYTES);
  let carry = tag;
  for (at = set; at < stop; at += BYTES) {
    const row = v128.load(at);
    push(at, row, carry, LANES - 1);
    carry = i32x4.extract_lane(row, 3);
  }
  push(stop, v128.load(stop), carry, last % LANES);
  return hits != 0;
}

/** Puts `tag` before a row; those up to `last` move up, and that one falls out. */
@inline
function push(at: usize, row: v128, tag: u32, last: u32): void {
  v128.store(at, i32x4.replace_lane(i8x16.swizzle(row, v128.load(SHIFT + <usize>(last * BYTES))), 0, tag));
}

/** Drops a tag. Returns whether it was there. */
export function drop(tags: TagSets, set: usize, tag: u32): bool {
  const last = set + (<usize>(tags.ways - 1) << 2);
  let at = set;
  while (load<u32>(at) != tag) {
    if (at == last) return false;
    at += 4;
  }
  if (tags.form == WIDE) {
    for (; at < last; at += 4) store<u32>(at, load<u32>(at + 4));
    store<u32>(last, 0);
  } else {
    store<u32>(at, 0);
    store<u32>(at + <usize>(tags.form << 2), EMPTY + (<u32>(at - set) >> 2));
  }
  return true;
}

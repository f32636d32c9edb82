// Sets of tags and nothing else, in order: first by last use (LRU) or by fill (FIFO). What TLB statistics need of a cache,
// and all that they need: four tags are one vector, and a use of the third is one load, one comparison, one shuffle and one
// store, without a branch on where it stood. The machine's caches (cache.ts) have frames and marks beside their tags.
//
// A set is a row of vectors; tags behind the last way are 0 and stay so. A tag is not 0.
import { fixed, region } from './layout';

const LANES: u32 = 4;
const BYTES: u32 = 16;

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
  sets: u32; //    0 = there is no such cache
  last: u32; //    its last way
  bytes: u32; //   of a set
  ordered: bool; // a hit moves the tag to the front: LRU
  base: usize;

  /** Address of a set. */
  @inline set(index: u32): u32 {
    return <u32>this.base + index * this.bytes;
  }
}

/** Empty sets. */
export function newTagSets(sets: u32, ways: u32, ordered: bool): TagSets {
  const tags = changetype<TagSets>(fixed(offsetof<TagSets>()));
  tags.sets = sets;
  tags.last = ways - 1;
  tags.bytes = ((ways + LANES - 1) / LANES) * BYTES;
  tags.ordered = ordered;
  tags.base = region(<usize>sets * tags.bytes);
  return tags;
}

/** An access to `tag`, whose set is at `set`: if it is not there, the last one makes room for it. Returns whether it was. */
@inline
export function use(tags: TagSets, set: usize, tag: u32): bool {
  // Most accesses are to what was used last, or before that.
  const two = load<u64>(set);
  if (<u32>two == tag) return true;
  if (<u32>(two >> 32) == tag) {
    if (tags.ordered) store<u64>(set, rotl(two, 32));
    return true;
  }
  if (tags.last >= LANES) return useWide(tags, set, tag);
  const row = v128.load(set);
  const hits = <u32>i32x4.bitmask(i32x4.eq(row, i32x4.splat(tag)));
  const hit = hits != 0;
  if (hit && !tags.ordered) return true;
  push(set, row, tag, hit ? ctz(hits) : tags.last);
  return hit;
}

/** The same in sets of several vectors. */
function useWide(tags: TagSets, set: usize, tag: u32): bool {
  const wanted = i32x4.splat(tag);
  const end = set + tags.bytes;
  let at = set;
  let hits: u32 = 0;
  for (; at < end; at += BYTES) {
    hits = <u32>i32x4.bitmask(i32x4.eq(v128.load(at), wanted));
    if (hits != 0) break;
  }
  if (hits != 0 && !tags.ordered) return true;
  const last = hits != 0 ? (<u32>(at - set) >> 2) + ctz(hits) : tags.last;
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

/** Drops a tag; those behind it move down. Returns whether it was there. */
export function drop(tags: TagSets, set: usize, tag: u32): bool {
  const last = set + (<usize>tags.last << 2);
  let at = set;
  while (load<u32>(at) != tag) {
    if (at == last) return false;
    at += 4;
  }
  for (; at < last; at += 4) store<u32>(at, load<u32>(at + 4));
  store<u32>(last, 0);
  return true;
}

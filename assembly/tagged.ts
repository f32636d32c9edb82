// A cache of blocks: a TLB of several page sizes, or the walk cache of a level. Its entries hold 28 bits of a frame or a
// table and four of what they grant; what an invalidation drops is found by tag and range.
import { blockId, domainOf, findBlock, meets, NO_PASID, numberOf, pasidOf, tagOfBlock } from './block';
import { Cache, ENTRY_SHIFT, ENTRY_V, fill, findIn, removeAt, use, usedEnd } from './cache';
import { inPlace } from './replacement';

/** The set of a block, by its number. */
@inline
function setOf(cache: Cache, block: u32): usize {
  // A division takes longer than all else here, and most walk caches are fully associative.
  return cache.sets == 1 ? cache.entries : cache.entries + (<usize>(numberOf(block) % cache.sets) * cache.ways << 3);
}
/** Whether it is fully associative, in order, and empty: then no block has to be looked for. */
@inline
function isEmpty(cache: Cache): bool {
  return cache.sets == 1 && load<u32>(cache.entries) == 0 && !inPlace(cache.replacement);
}
@inline
function entryOf(block: u32): u32 {
  return (block << ENTRY_SHIFT) | ENTRY_V;
}

/** What the cache holds of a block: its frame word, or 0. It is used by that. */
export function useBlock(cache: Cache, tag: u32, order: u32, number: u64): u32 {
  if (cache.sets == 0 || isEmpty(cache)) return 0;
  const block = findBlock(tag, order, number);
  if (block == 0) return 0;
  const at = useIn(cache, setOf(cache, block - 1), block - 1);
  return at == 0 ? 0 : load<u32>(at, 4);
}

/** Address of the entry of a block in its set, which is used by that, or 0. */
@inline
function useIn(cache: Cache, set: usize, block: u32): usize {
  const at = findIn(cache, set, block);
  return at == 0 ? 0 : use(cache, set, at);
}

/** Puts a block with a frame word other than 0 into the cache, in place of an older entry of it. */
export function putBlock(cache: Cache, tag: u32, order: u32, number: u64, value: u32): void {
  if (cache.sets == 0) return;
  const block = blockId(tag, order, number);
  if (block == 0) return;
  const set = setOf(cache, block - 1);
  const old: usize = isEmpty(cache) ? 0 : useIn(cache, set, block - 1);
  if (old != 0) removeAt(cache, set, old);
  fill(cache, set, (<u64>value << 32) | entryOf(block - 1));
}
/** Whether the cache holds a block, which is not used by that. */
export function holdsBlock(cache: Cache, tag: u32, order: u32, number: u64): bool {
  const block = findBlock(tag, order, number);
  if (block == 0 || cache.sets == 0) return false;
  const set = setOf(cache, block - 1);
  return findIn(cache, set, block - 1) != 0;
}

// Of a scope: any domain; any PASID and entries without one; any PASID, but not entries without one.
export const ANY: u32 = <u32>-2;
export const ANY_PASID: u32 = <u32>-3;

/**
 * Drops the blocks of a domain (or ANY) and a PASID (or ANY, ANY_PASID; NO_PASID: entries without one) that have a page of
 * `first` .. `last` in common.
 */
export function dropBlocks(cache: Cache, domain: u32, pasid: u32, first: u64, last: u64): void {
  const bytes = <usize>cache.ways << 3;
  const all = cache.entries + <usize>cache.sets * bytes;
  for (let set = cache.entries; set < all; set += bytes) {
    for (let at = usedEnd(cache, set) - 8; at >= set; at -= 8) {
      const low = load<u32>(at);
      if (low == 0) continue;
      const block = low >> ENTRY_SHIFT;
      const tag = tagOfBlock(block);
      if (domain != ANY && domainOf(tag) != domain) continue;
      const mine = pasidOf(tag);
      if (pasid == ANY_PASID ? mine == NO_PASID : pasid != ANY && mine != pasid) continue;
      if (meets(block, first, last)) removeAt(cache, set, at);
    }
  }
}

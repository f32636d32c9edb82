// The one page walk: 4 levels of x86-64, shortened by caches of upper levels. A walk cache holds the address of a table,
// so a hit at the leaf table leaves one reference, one level up two, at the top three (Intel SDM vol. 3A, 4.10.3).
import { Cache, ENTRY_SHIFT, ENTRY_V, fill, lookup, newCache } from './cache';
import { add, bump, N_WALK_CACHE_HIT, N_WALK_CACHE_MISS, N_WALK_REFS, N_WALKS } from './counters';
import { region, setting } from './layout';
import { topOf, upperOf } from './table';

@unmanaged
export class Walker {
  pde: Cache; //   leaf tables
  pdpte: Cache; // tables one level up
  pml4e: Cache; // two levels up
  levels: u32; //  of the tables, 3 or 4
}

/** Walk caches of the geometry that begins at `index` in the settings. */
export function newWalker(index: u32): Walker {
  const walker = changetype<Walker>(region(offsetof<Walker>()));
  walker.levels = 4;
  walker.pde = newCache(setting(index), setting(index + 1), 0, 0);
  walker.pdpte = newCache(setting(index + 2), setting(index + 3), 0, 0);
  walker.pml4e = newCache(setting(index + 4), setting(index + 5), 0, 0);
  return walker;
}

/** Whether the cache holds the table; puts it there if not. */
function seen(cache: Cache, table: u32): bool {
  if (cache.sets == 0) return false;
  const set = cache.entries + (<usize>(table % cache.sets) * cache.ways << 3);
  const end = cache.end(set);
  const want = (table << ENTRY_SHIFT) | ENTRY_V;
  if (lookup(set, end, want, ~0, cache.replacement)) return true;
  fill(set, end, want);
  return false;
}

/** Memory references above the leaf that a walk to a page of leaf table `table` takes: 0..3. */
export function upperRefs(walker: Walker, table: u32): u32 {
  bump(N_WALKS);
  let refs: u32 = 0;
  if (!seen(walker.pde, table)) {
    refs++;
    if (!seen(walker.pdpte, upperOf(table))) {
      refs++;
      if (walker.levels > 3 && !seen(walker.pml4e, topOf(table))) refs++;
    }
  }
  bump(refs < walker.levels - 1 ? N_WALK_CACHE_HIT : N_WALK_CACHE_MISS);
  add(N_WALK_REFS, refs + 1);
  return refs;
}

export function emptyWalker(walker: Walker): void {
  empty(walker.pde);
  empty(walker.pdpte);
  empty(walker.pml4e);
}

/** Drops everything a cache holds. */
export function empty(cache: Cache): void {
  memory.fill(cache.entries, 0, <usize>cache.sets * cache.ways << 3);
}

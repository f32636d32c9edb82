// IOVAs of a domain: magazines of each CPU over a tree (Linux 6.1 drivers/iommu/iova.c). What was freed last is handed out
// first. Sizes are rounded up to powers of two where they have magazines; the tree gives the highest aligned place.
import { Agent, spend } from './clock';
import { bump, N_IOVA_REUSED, N_IOVA_SLOW } from './counters';
import { cost, region, setting } from './layout';
import { CAUSE_IOVA, COST_IOVA_ALLOC, COST_IOVA_FREE, COST_IOVA_FREE_SLOW, SET_CPUS, SET_IOVA, SET_SPACES } from './ops';

/** No IOVA to be had. */
export const NO_IOVA: u32 = 0xffff_ffff;

let cpus: u32 = 0;
let pages: u32 = 0; //     page numbers 0 .. pages - 1
let room: u32 = 0; //      IOVAs of one magazine
let depot: u32 = 0; //     full magazines that all CPUs share
let sizes: u32 = 0;
let perSize: u32 = 0; //   magazines of one size of a domain
let used: usize = 0; //    u64[spaces * words]: bit = page number in use
let words: u32 = 0;
let magazines: usize = 0; // u32[spaces * sizes * perSize * (1 + room)]: count, IOVAs
let places: usize = 0; //  u32[spaces * sizes * (perSize + 1)]: per CPU loaded and previous magazine, depot, spare ones; then the depot's count

export function initIova(): void {
  cpus = setting(SET_CPUS);
  pages = setting(SET_IOVA) + 1;
  room = setting(SET_IOVA + 1);
  depot = setting(SET_IOVA + 2);
  sizes = setting(SET_IOVA + 3);
  perSize = 2 * cpus + depot;
  words = (pages + 63) >> 6;
  const groups = setting(SET_SPACES) * sizes;
  used = region(<usize>setting(SET_SPACES) * words << 3);
  magazines = region(<usize>groups * perSize * (1 + room) << 2);
  places = region(<usize>groups * (perSize + 1) << 2);
  for (let group: u32 = 0; group < groups; group++) {
    for (let i: u32 = 0; i < perSize; i++) store<u32>(placeAt(group, i), i);
  }
  // Page number 0 is never handed out (iova.c, start_pfn 1).
  for (let space: u32 = 0; space < setting(SET_SPACES); space++) mark(space, 0, 1, true);
}
@inline
function placeAt(group: u32, index: u32): usize {
  return places + (<usize>(group * (perSize + 1) + index) << 2);
}
@inline
function magazine(group: u32, index: u32): usize {
  return magazines + (<usize>(group * perSize + load<u32>(placeAt(group, index))) * (1 + room) << 2);
}
@inline
function swap(group: u32, a: u32, b: u32): void {
  const kept = load<u32>(placeAt(group, a));
  store<u32>(placeAt(group, a), load<u32>(placeAt(group, b)));
  store<u32>(placeAt(group, b), kept);
}
/** log2 of `count`, rounded up. */
@inline
function orderOf(count: u32): u32 {
  return count <= 1 ? 0 : 32 - <u32>clz(count - 1);
}

/** An IOVA from the CPU's magazines, or the depot's; NO_IOVA if the tree must be asked. */
export function allocFast(who: Agent, cpu: u32, space: u32, count: u32): u32 {
  spend(who, CAUSE_IOVA, cost(COST_IOVA_ALLOC));
  const order = orderOf(count);
  if (order >= sizes) return NO_IOVA;
  const group = space * sizes + order;
  const loaded = 2 * cpu;
  if (load<u32>(magazine(group, loaded)) == 0) {
    const full = placeAt(group, perSize);
    if (load<u32>(magazine(group, loaded + 1)) != 0) swap(group, loaded, loaded + 1);
    else if (load<u32>(full) != 0) {
      store<u32>(full, load<u32>(full) - 1);
      swap(group, loaded, 2 * cpus + load<u32>(full));
    } else return NO_IOVA;
  }
  const from = magazine(group, loaded);
  const left = load<u32>(from) - 1;
  store<u32>(from, left);
  bump(N_IOVA_REUSED);
  return load<u32>(from + (<usize>(1 + left) << 2));
}

/** The highest place of the tree for `count` pages, aligned to their size; NO_IOVA if there is none. */
export function allocTree(space: u32, count: u32): u32 {
  bump(N_IOVA_SLOW);
  const order = orderOf(count);
  const size: u32 = 1 << order;
  const taken = order < sizes ? size : count;
  for (let at = (pages >> order) << order; at >= size; ) {
    at -= size;
    if (!isFree(space, at, taken)) continue;
    mark(space, at, taken, true);
    return at;
  }
  return NO_IOVA;
}

/** Gives an IOVA back to the CPU's magazines; a magazine too many goes to the tree. */
export function freeIova(who: Agent, cpu: u32, space: u32, page: u32, count: u32): void {
  const order = orderOf(count);
  if (order >= sizes) {
    mark(space, page, count, false);
    spend(who, CAUSE_IOVA, cost(COST_IOVA_FREE_SLOW));
    return;
  }
  spend(who, CAUSE_IOVA, cost(COST_IOVA_FREE));
  const group = space * sizes + order;
  const loaded = 2 * cpu;
  if (load<u32>(magazine(group, loaded)) == room) {
    if (load<u32>(magazine(group, loaded + 1)) < room) swap(group, loaded, loaded + 1);
    else {
      const full = placeAt(group, perSize);
      if (load<u32>(full) < depot) {
        swap(group, loaded, 2 * cpus + load<u32>(full));
        store<u32>(full, load<u32>(full) + 1);
      } else empty(who, space, magazine(group, loaded), order);
    }
  }
  const into = magazine(group, loaded);
  const held = load<u32>(into);
  store<u32>(into + (<usize>(1 + held) << 2), page);
  store<u32>(into, held + 1);
}

function empty(who: Agent, space: u32, from: usize, order: u32): void {
  const held = load<u32>(from);
  for (let i: u32 = 0; i < held; i++) mark(space, load<u32>(from + (<usize>(1 + i) << 2)), 1 << order, false);
  store<u32>(from, 0);
  spend(who, CAUSE_IOVA, cost(COST_IOVA_FREE_SLOW) * held);
}

@inline
function wordAt(space: u32, page: u32): usize {
  return used + ((<usize>space * words + (page >> 6)) << 3);
}
/** Bits of `page` .. as far as they stand in its word. */
@inline
function bits(page: u32, count: u32): u64 {
  const from = page & 63;
  const length = min<u32>(64 - from, count);
  return (length == 64 ? ~(<u64>0) : (<u64>1 << length) - 1) << from;
}
function isFree(space: u32, first: u32, count: u32): bool {
  const end = first + count;
  for (let page = first; page < end; page = (page | 63) + 1) {
    if ((load<u64>(wordAt(space, page)) & bits(page, end - page)) != 0) return false;
  }
  return true;
}
function mark(space: u32, first: u32, count: u32, taken: bool): void {
  const end = first + count;
  for (let page = first; page < end; page = (page | 63) + 1) {
    const at = wordAt(space, page);
    const mine = bits(page, end - page);
    store<u64>(at, taken ? load<u64>(at) | mine : load<u64>(at) & ~mine);
  }
}

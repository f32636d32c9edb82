// Which entry of a device's TLB or of the IOTLB serves an access, and what makes room for one: of leaves of several sizes, of
// spaces and processes with one tag.
import { otherPage } from './binding';
import { Cache, ENTRY_W, find, use } from './cache';
import { setting } from './layout';
import { aliasOf, findLeaf, sharesDomains } from './mapping';
import { SET_SPACES } from './ops';
import { ABSENT, dropFrom, fillAbsent, fillCopy, iotlb, iotlbOf, largeCopies } from './space';
import { largeOrders, orderOf } from './table';

/** Address of an entry, stale or not, that allows the access, the smallest first; it is the most recent then. Or 0. */
function useSmallest(cache: Cache, vpn: u64, page: u32, write: bool): usize {
  if (cache.sets == 0) return 0;
  if (largeOrders == 0 || (!largeCopies && orderOf(page) == 0)) return useOf(cache, page, write);
  for (let left = largeOrders | 1; left != 0; left &= left - 1) {
    const leaf = findLeaf(vpn, ctz(left));
    if (leaf == 0) continue;
    const at = useOf(cache == iotlb ? iotlbOf(leaf - 1) : cache, leaf - 1, write);
    if (at != 0) return at;
  }
  return 0;
}
/** The same for the entry of a page. One that says that nothing is there refuses reads and writes alike. */
export function useOf(cache: Cache, page: u32, write: bool): usize {
  const at = find(cache, page);
  if (at == 0 || (write && (load<u32>(at) & ENTRY_W) == 0 && load<u32>(at, 4) != ABSENT)) return 0;
  return use(cache, cache.set(page), at);
}

/** The same of all that is tagged with the PASID, whoever had it then. */
export function useOfPasid(cache: Cache, vpn: u64, page: u32, write: bool): usize {
  const own = useSmallest(cache, vpn, page, write);
  if (own != 0) return own;
  const other = otherPage(page);
  return other == 0 || cache.sets == 0 ? 0 : useOf(cache, other - 1, write);
}

/** The same of the IOTLB, whose entries may say that there is nothing, or be of a domain with the same tag. */
export function useIotlb(vpn: u64, page: u32, write: bool): usize {
  const own = useOfPasid(iotlb, vpn, page, write);
  if (own != 0 || !sharesDomains()) return own;
  for (let space: u32 = 0; space < setting(SET_SPACES); space++) {
    const alias = aliasOf(page, space);
    const at: usize = alias == 0 || iotlb.sets == 0 ? 0 : useOf(iotlb, alias - 1, write);
    if (at != 0) return at;
  }
  return 0;
}
/** An entry of the IOTLB, in place of those with the same tag. */
export function fillIotlb(page: u32, low: u32, frame: u32, now: u64): void {
  for (let space: u32 = 0; sharesDomains() && space < setting(SET_SPACES); space++) {
    const alias = aliasOf(page, space);
    if (alias != 0) dropFrom(iotlb, alias - 1, now);
  }
  replaceOther(iotlb, page, now);
  if (frame == ABSENT) fillAbsent(page, now);
  else fillCopy(iotlbOf(page), page, low, frame, now);
}

/** There is one entry for an address of a PASID. */
export function replaceOther(cache: Cache, page: u32, now: u64): void {
  const other = otherPage(page);
  if (other != 0) dropFrom(cache, other - 1, now);
}

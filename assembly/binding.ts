// A PASID that changes hands: two processes that use the same addresses have it one after the other. What a device or the
// IOMMU keeps of the first is tagged as if it were of the second. Races alone have a second process; its pages lie
// 2^SPACE_PAGES_LG2 page numbers above.
import { SPACE_PAGES_LG2 } from './command';
import { region, setting } from './layout';
import { SET_DMA, SET_SPACES } from './ops';
import { pageAt, vpnOf } from './table';

@unmanaged
class Binding {
  released: u32; // 1: the entry of the PASID names nobody
  bound: u32; //    else this process,
  cached: u32; //   and the IOMMU's PASID cache says 1 + this one; 0: it holds nothing
}
let state: Binding = changetype<Binding>(0);

export function initBinding(): void {
  state = changetype<Binding>(region(offsetof<Binding>()));
}
/** Whether there is a second process. */
@inline
export function isHandedOver(): bool {
  return setting(SET_DMA) == 0 && setting(SET_SPACES) > 1;
}
@inline
function processOf(vpn: u64): u32 {
  return <u32>(vpn >> SPACE_PAGES_LG2);
}
/** Page + 1 of a process that has the address of a page, or 0. */
function pageOf(page: u32, process: u32): u32 {
  const inProcess = (<u64>1 << SPACE_PAGES_LG2) - 1;
  return pageAt((<u64>process << SPACE_PAGES_LG2) | (vpnOf(page) & inProcess));
}
/** Page + 1 of the other process at the same address, or 0: there is none. */
export function otherPage(page: u32): u32 {
  return isHandedOver() ? pageOf(page, processOf(vpnOf(page)) ^ 1) : 0;
}

/** The process of a page number has its invalidations sent: the PASID is its own. */
export function isBound(vpn: u64): bool {
  return !isHandedOver() || (state.released == 0 && state.bound == processOf(vpn));
}
/** The entry of the PASID is cleared, or names the process of a page. */
export function release(): void {
  state.released = 1;
}
export function bind(page: u32): void {
  state.released = 0;
  state.bound = processOf(vpnOf(page));
}
/** What a device means by the address of a page: a page of the process that it works for. */
export function meant(page: u32): u32 {
  const own = isHandedOver() && state.released == 0 ? pageOf(page, state.bound) : 0;
  return own == 0 ? page : own - 1;
}

/** The page number that a device names, which is the same in both processes. */
export function named(vpn: u64): u64 {
  return isHandedOver() ? vpn & ((<u64>1 << SPACE_PAGES_LG2) - 1) : vpn;
}
/** Page + 1 that software finds at such a page number in the process that has the PASID, or 0. */
export function pageBound(vpn: u64): u32 {
  if (!isHandedOver()) return pageAt(vpn);
  return state.released != 0 ? 0 : pageAt((<u64>state.bound << SPACE_PAGES_LG2) | vpn);
}

/** Page + 1 in the tables that the IOMMU walks for the address of a page, or 0: the entry of the PASID names none. */
export function pageWalked(page: u32): u32 {
  if (!isHandedOver()) return page + 1;
  if (state.cached == 0 && state.released == 0) state.cached = 1 + state.bound;
  return state.cached == 0 ? 0 : pageOf(page, state.cached - 1);
}
/** An invalidation of the PASID cache. */
export function dropEntry(): void {
  if (isHandedOver()) state.cached = 0;
}

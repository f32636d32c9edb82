// What a child of fork shares with its parent. In a race the second process is the child: its page at the same address maps the
// same frame, and may get it for itself. Elsewhere a child is no agent: it holds frames until it is gone.
import { isHandedOver, otherPage } from './binding';
import { getFrame, pageOf, refsOf, shareFrame } from './frame';
import { hazard, HAZARD_REUSE_BY_MAPCOUNT } from './hazard';
import { frameOf, pte, PTE_D, PTE_P, PTE_SHARED, setEntry } from './table';

/** The child maps the page as well, and nobody may write it. A second process that has something there is none of its children. */
export function share(page: u32): void {
  const frame = frameOf(page);
  const child = otherPage(page);
  if (child == 0) {
    shareFrame(frame, page);
    return;
  }
  if (pte(child - 1) != 0) return;
  getFrame(frame);
  setEntry(child - 1, PTE_P | PTE_SHARED | (pte(page) & PTE_D), frame);
}

/**
 * Whether somebody else uses what the page maps. As since Linux 5.8 references count, whoever has them (mm/memory.c do_wp_page);
 * before, mappings (reuse_swap_page, page_trans_huge_mapcount), of which a copy gives its own up before it is visible to devices.
 */
export function isUsedElsewhere(page: u32, frame: u32): bool {
  if (!isHandedOver() || !hazard(HAZARD_REUSE_BY_MAPCOUNT)) return refsOf(frame) != 1;
  const owner = pageOf(frame);
  return (owner != 0 && owner != page + 1) || mapsAt(otherPage(page), frame);
}
@inline
function mapsAt(pagePlusOne: u32, frame: u32): bool {
  return pagePlusOne != 0 && (pte(pagePlusOne - 1) & PTE_P) != 0 && frameOf(pagePlusOne - 1) == frame;
}

/** Whether the other process at the page's address has the frame for itself. */
export function isOthers(page: u32, frame: u32): bool {
  const other = otherPage(page);
  return mapsAt(other, frame) && (pte(other - 1) & PTE_SHARED) == 0;
}

// A range of the address space that the program maps: whether anything is there, and of what kind it becomes.
import { AT_POOL_PROTECT, AT_PROTECT, AT_SPLIT, AT_SPLIT_FILE, AT_UNMAP, AT_UNMAP_DIRTY, KIND_POOL, MARK_UNUSED } from './ops';
import {
  firstTable, keyAt, kindOf, pageIn, pte, PTE_CACHE, PTE_D, PTE_MISMATCH, PTE_P, PTE_UNUSED, PTE_ZERO, setKind, setPte, setReadOnly, TABLE_LG2, tableAt,
  tableCount,
} from './table';

/** Whether a page of the range has a PTE, which a fixed mapping then replaces. */
export function mapped(first: u64, end: u64): bool {
  for (let position = firstTable(first); position < tableCount && keyAt(position) <= (end - 1) >> TABLE_LG2; position++) {
    for (let slot: u32 = 0; slot < 1 << TABLE_LG2; slot++) {
      const vpn = (keyAt(position) << TABLE_LG2) + slot;
      const page = pageIn(tableAt(position), slot);
      if (page != 0 && vpn >= first && vpn < end && pte(page - 1) != 0) return true;
    }
  }
  return false;
}

/** The pages of the range are of the kind that the mapping says. */
export function mapPages(first: u64, end: u64, kind: u32): void {
  for (let position = firstTable(first); position < tableCount && keyAt(position) <= (end - 1) >> TABLE_LG2; position++) {
    for (let slot: u32 = 0; slot < 1 << TABLE_LG2; slot++) {
      const vpn = (keyAt(position) << TABLE_LG2) + slot;
      const page = pageIn(tableAt(position), slot);
      if (page == 0 || vpn < first || vpn >= end) continue;
      setKind(page - 1, kind);
      setReadOnly(page - 1, 0);
    }
  }
}

/** The anonymous pages of the range are what reclaim will find them to be: MARK_*. */
export function markPages(first: u64, end: u64, mark: u32): void {
  for (let position = firstTable(first); position < tableCount && keyAt(position) <= (end - 1) >> TABLE_LG2; position++) {
    for (let slot: u32 = 0; slot < 1 << TABLE_LG2; slot++) {
      const vpn = (keyAt(position) << TABLE_LG2) + slot;
      const page = pageIn(tableAt(position), slot);
      if (page != 0 && vpn >= first && vpn < end) markPage(page - 1, mark);
    }
  }
}
/** The same of one page. */
export function markPage(page: u32, mark: u32): void {
  const flags = pte(page);
  if ((flags & (PTE_P | PTE_ZERO | PTE_CACHE)) == PTE_P) setPte(page, flags | (mark == MARK_UNUSED ? PTE_UNUSED : PTE_MISMATCH));
}

/**
 * The occasion that a call for the range becomes, by what is in it. Assumed: what is dirty is seen when the call begins, not page
 * by page; one page of the pool, or of the page cache, stands for all.
 */
export function settleOccasion(asked: u32, first: u64, end: u64): u32 {
  if (asked == AT_UNMAP) return hasAny(asked, first, end) ? AT_UNMAP_DIRTY : asked;
  if (asked == AT_PROTECT) return hasAny(asked, first, end) ? AT_POOL_PROTECT : asked;
  if (asked == AT_SPLIT) return hasAny(asked, first, end) ? AT_SPLIT_FILE : asked;
  return asked;
}
function hasAny(asked: u32, first: u64, end: u64): bool {
  for (let position = firstTable(first); position < tableCount && keyAt(position) <= (end - 1) >> TABLE_LG2; position++) {
    for (let slot: u32 = 0; slot < 1 << TABLE_LG2; slot++) {
      const vpn = (keyAt(position) << TABLE_LG2) + slot;
      const page = pageIn(tableAt(position), slot);
      if (page != 0 && vpn >= first && vpn < end && decides(asked, page - 1)) return true;
    }
  }
  return false;
}
function decides(asked: u32, page: u32): bool {
  if (asked == AT_PROTECT) return kindOf(page) == KIND_POOL;
  const what = asked == AT_UNMAP ? PTE_P | PTE_CACHE | PTE_D : PTE_P | PTE_CACHE;
  return (pte(page) & what) == what;
}

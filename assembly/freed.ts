// Leaf tables that munmap frees: the entry above is cleared behind the PTEs, before the CPU flush, and the table is free
// when the frames are (Linux mm/memory.c free_pgtables, between unmap_vmas and tlb_finish_mmu). A table goes with the munmap
// that clears its last PTE; one that others share, when its pages are out of reach (mm/hugetlb.c huge_pmd_unshare). Upper
// tables stay. S5: a walk must not begin at a table, out
// of a walk cache, that has been freed since it was put there.
import { bank, banks } from './bank';
import { select } from './consumers';
import { add, N_EXPOSED } from './counters';
import { Run, rowPage } from './execution';
import { region, setting } from './layout';
import { AT_EXIT, AT_UNMAP, AT_UNMAP_DIRTY, AT_UNSHARE, KIND_GONE, SET_IDEAL, SET_TABLES } from './ops';
import { reachable } from './pasid';
import { holdsTable } from './space';
import {
  isInReach, kindOf, LINKED, linkOf, pageIn, pte, setFreed, TABLE_LG2, tableOfPage, UNLINKED, unlinkTable, vpnOf,
} from './table';
import { cachedAt } from './walk';

let dead: usize = 0; // u8[tables]: the IOMMU's walk caches had it when it was freed; a bit per consumer

export function initFreed(): void {
  dead = region(setting(SET_TABLES));
}

/** The tables of a range whose pages are all unmapped are taken out of the tables above. */
export function unlinkTables(run: Run): void {
  const unmaps = run.inside == 0 && (run.occasion == AT_UNMAP || run.occasion == AT_UNMAP_DIRTY || run.occasion == AT_EXIT);
  const unshares = run.occasion == AT_UNSHARE;
  if ((!unmaps && !unshares) || setting(SET_IDEAL) != 0) return;
  let last: u32 = u32.MAX_VALUE;
  for (let i: u32 = 0; i < run.gathered; i++) {
    const page = rowPage(run, i);
    const table = tableOfPage(page);
    if (table == last) continue;
    last = table;
    if (linkOf(table) != LINKED || !isGone(table, unshares)) continue;
    unlinkTable(table, vpnOf(page) >> TABLE_LG2);
    run.freed++;
  }
}
/** Whether no page of the table is left; or with `away`, none that walks could find. */
function isGone(table: u32, away: bool): bool {
  for (let slot: u32 = 0; slot < 1 << TABLE_LG2; slot++) {
    const page = pageIn(table, slot);
    if (page != 0 && (away ? isInReach(pte(page - 1)) : kindOf(page - 1) != KIND_GONE)) return false;
  }
  return true;
}

/** They are free. */
export function freeTables(run: Run): void {
  if (run.freed == 0) return;
  for (let i: u32 = 0; i < run.gathered; i++) {
    const page = rowPage(run, i);
    const table = tableOfPage(page);
    if (linkOf(table) != UNLINKED) continue;
    setFreed(table);
    let exposed: u64 = 0;
    const home = bank;
    for (let i: u32 = 0; i < banks; i++) {
      select(i);
      if (markDead(table, page)) exposed++;
    }
    select(home);
    add(N_EXPOSED, exposed);
  }
}
/** Whether the consumer in hand could use a freed table. */
function markDead(table: u32, page: u32): bool {
  if (!holdsTable(page)) return false;
  store<u8>(dead + table, load<u8>(dead + table) | <u8>(<u32>1 << bank));
  return reachable();
}

/** Whether the IOMMU's walk that has just begun did so at a table that is not what it was. */
export function beganAtFreed(page: u32): bool {
  const at = dead + tableOfPage(page);
  const mine = <u8>(<u32>1 << bank);
  if ((load<u8>(at) & mine) == 0) return false;
  if (cachedAt == 1) return true;
  store<u8>(at, load<u8>(at) & ~mine); // it had gone from the cache, and is there anew at most
  return false;
}

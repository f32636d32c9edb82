// What a consumer of mmu_notifiers keeps beside the caches of its hardware: a table of its own, which its faults fill
// (KVM's second stage, an adapter's translations); and when such a fault has met an invalidation and must begin anew
// (Linux mmu_notifier_seq and mmu_notifier_count; mm/mmu_notifier.c mmu_interval_read_begin).
import { swap } from './bank';
import { acquire, agent, Agent, agentCount, block, release, wake } from './clock';
import { IS_COMMON } from './common';
import { clear, fixed, region, setting } from './layout';
import { CAUSE_PAGE_REQUEST, RETRY_ANY, RETRY_NONE, SET_RETRY } from './ops';
import { staleCopyGone } from './safety';
import { flight, flightsInUse, IN_HAND } from './places';
import { dropFrom, own } from './space';
import { firstTable, keyAt, pageAt, pageIn, PTE_P, pte, TABLE_LG2, tableAt, tableCount, vpnOf } from './table';

let ranges: usize = 0; //  u64[2 * agentCount]: first page + 1 of the range that an agent has begun and not ended, or 0; last
let waiting: usize = 0; // u8[agentCount]: a fault waits for an end
let heard: usize = 0; //   u32[agentCount]: what who ended it knew
let retry: u32 = 0;

export function initConsumer(): void {
  retry = setting(SET_RETRY);
  if (retry == RETRY_NONE) return;
  ranges = region(<usize>agentCount << 4);
  waiting = region(agentCount);
  heard = fixed(<usize>agentCount << 2);
}

export function swapConsumer(): void {
  ranges = swap(ranges);
  waiting = swap(waiting);
  heard = swap(heard);
  retry = swap(retry);
}

/** Whether it is translated by a table of its own. */
@inline
export function hasOwnTable(): bool {
  return !IS_COMMON && own.sets != 0;
}
/** Whether others could tell when a range begins or ends. */
@inline
export function seesRanges(): bool {
  return retry != RETRY_NONE;
}

/** Takes pages `first` .. `last` out of its own table. Returns how many were there. */
export function zap(first: u64, last: u64, now: u64): u32 {
  if (first == last) {
    const page = pageAt(first);
    return page != 0 && dropFrom(own, page - 1, now) ? 1 : 0;
  }
  let count: u32 = 0;
  for (let at = firstTable(first); at < tableCount && keyAt(at) <= last >> TABLE_LG2; at++) {
    for (let slot: u32 = 0; slot < 1 << TABLE_LG2; slot++) {
      const page = pageOf(at, slot, first, last);
      if (page != 0 && dropFrom(own, page - 1, now)) count++;
    }
  }
  return count;
}
/** Page id + 1 in a slot of a table if it lies in first .. last, or 0. */
@inline
function pageOf(position: u32, slot: u32, first: u64, last: u64): u32 {
  const vpn = (keyAt(position) << TABLE_LG2) | slot;
  return vpn < first || vpn > last ? 0 : pageIn(tableAt(position), slot);
}

/** Whether the process's tables map one of the pages. */
export function mapsAny(first: u64, last: u64): bool {
  for (let at = firstTable(first); at < tableCount && keyAt(at) <= last >> TABLE_LG2; at++) {
    for (let slot: u32 = 0; slot < 1 << TABLE_LG2; slot++) {
      const page = pageOf(at, slot, first, last);
      if (page != 0 && (pte(page - 1) & PTE_P) != 0) return true;
    }
  }
  return false;
}

// ---- faults that meet invalidations ----

/** The sequence has moved on: faults that have read a PTE begin anew. */
export function moveOn(first: u64, last: u64, now: u64): void {
  if (retry == RETRY_NONE) return;
  for (let left = flightsInUse(); left != 0; left &= left - 1) {
    const held = flight(<u32>ctz(left));
    if (held.holds != IN_HAND || !concerns(held.page - 1, first, last)) continue;
    held.holds = 0;
    if (held.stale != 0) staleCopyGone(held.page - 1, now);
    held.stale = 0;
  }
}
@inline
function concerns(page: u32, first: u64, last: u64): bool {
  return retry == RETRY_ANY || (vpnOf(page) >= first && vpnOf(page) <= last);
}

/** range_start and range_end of an agent. */
export function beginRange(who: Agent, first: u64, last: u64): void {
  if (retry == RETRY_NONE) return;
  store<u64>(ranges + (<usize>who.id << 4), first + 1);
  store<u64>(ranges + (<usize>who.id << 4), last, 8);
  moveOn(first, last, who.clock);
}
export function endRange(who: Agent): void {
  if (retry == RETRY_NONE) return;
  clear(ranges + (<usize>who.id << 4), 16);
  release(who.id, heard);
  for (let id: u32 = 0; id < agentCount; id++) {
    if (load<u8>(waiting + id) == 0) continue;
    store<u8>(waiting + id, 0);
    wake(agent(id), who.clock);
    acquire(id, heard);
  }
}
/** Whether a fault on the page would be in vain: a range has been begun and not ended. */
export function isShut(page: u32): bool {
  if (retry == RETRY_NONE) return false;
  for (let id: u32 = 0; id < agentCount; id++) {
    const at = ranges + (<usize>id << 4);
    if (load<u64>(at) != 0 && concerns(page, load<u64>(at) - 1, load<u64>(at, 8))) return true;
  }
  return false;
}
/** A fault waits until a range ends, and looks again then. */
export function awaitEnd(who: Agent): void {
  store<u8>(waiting + who.id, 1);
  block(who, CAUSE_PAGE_REQUEST);
}

// What the TLBs of a CPU are filled with, and what flushes drop from them.
import { Cache, empty, ENTRY_SHIFT, ENTRY_STALE, fill, find, removeAt } from './cache';
import { bump, N_CPU_FULL, N_CPU_PAGE } from './counters';
import { staleCpuEntries, staleCpuGone, staleCpuMade } from './safety';
import { cpuCaches } from './space';
import { emptyWalker } from './walk';
import { dropWalked } from './walked';

/** Puts a translation of the page into a CPU's TLB in place of an older one. */
export function fillCpu(cache: Cache, page: u32, low: u32, frame: u32, now: u64): void {
  if (cache.sets == 0) return;
  const old = find(cache, page);
  const set = cache.set(page);
  if (old != 0) {
    if ((load<u32>(old) & ENTRY_STALE) != 0) staleCpuGone(page, now);
    removeAt(cache, set, old);
  }
  const evicted = <u32>fill(cache, set, (<u64>frame << 32) | low);
  if ((evicted & ENTRY_STALE) != 0) staleCpuGone(evicted >> ENTRY_SHIFT, now);
  if ((low & ENTRY_STALE) != 0) staleCpuMade(page, now);
}

/** Drops a CPU's entries of one page, and its walk caches, as INVLPG does (Intel SDM vol. 3A, 4.10.4.1). */
export function flushCpuPage(index: u32, page: u32, now: u64): void {
  const cpu = cpuCaches(index);
  dropCpu(cpu.l1i, page, now);
  dropCpu(cpu.l1d, page, now);
  dropCpu(cpu.l2, page, now);
  emptyWalker(cpu.stage.walker);
  dropWalked(index);
  cpu.poked = 1;
  bump(N_CPU_PAGE);
}
function dropCpu(cache: Cache, page: u32, now: u64): void {
  const at = find(cache, page);
  if (at == 0) return;
  if ((load<u32>(at) & ENTRY_STALE) != 0) staleCpuGone(page, now);
  removeAt(cache, cache.set(page), at);
}
/** Drops everything a CPU has of the space. */
export function flushCpu(index: u32, now: u64): void {
  const cpu = cpuCaches(index);
  emptyCpu(cpu.l1i, now);
  emptyCpu(cpu.l1d, now);
  emptyCpu(cpu.l2, now);
  emptyWalker(cpu.stage.walker);
  dropWalked(index);
  cpu.poked = 1;
  bump(N_CPU_FULL);
}
function emptyCpu(cache: Cache, now: u64): void {
  const end = cache.entries + (<usize>cache.sets * cache.ways << 3);
  for (let at = cache.entries; staleCpuEntries() != 0 && at < end; at += 8) {
    const low = load<u32>(at);
    if ((low & ENTRY_STALE) != 0) staleCpuGone(low >> ENTRY_SHIFT, now);
  }
  empty(cache);
}

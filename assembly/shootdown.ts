// TLB shootdown: a CPU, or reclaim, has the TLBs of all CPUs flushed that run the program. By IPI to each of them (Linux to
// 4.13); by IPI with generations, where a CPU that has gone idle is left out and flushes when it comes back, and one that is
// behind flushes all (arch/x86/mm/tlb.c since 5.0, flush_tlb_func); or by INVLPGB, which interrupts nobody (since 6.15).
import { Agent, agent, BLOCKED, DONE, exchange, spend } from './clock';
import { bump, N_CPU_PENDING, N_IPI } from './counters';
import { flushCpu, flushCpuPage } from './cputlbs';
import { firstOf, hasRange, lastOf, oldRows, Run, rowPage } from './execution';
import { cost, region, setting } from './layout';
import {
  CAUSE_CPU_FLUSH, CAUSE_FRAME_WAIT, CAUSE_INTERRUPTED, CAUSE_IPI, COST_FLUSH_FULL, COST_INVLPG, COST_INVLPGB, COST_IPI_FIRST,
  COST_IPI_HANDLER, COST_IPI_NEXT, COST_TLBSYNC, SET_SHOOTDOWN, SHOOTDOWN_BROADCAST, SHOOTDOWN_GENERATIONS,
} from './ops';
import { cpuCount } from './space';
import { pageAt } from './table';

@unmanaged
class State {
  generation: u32; // flushes of the space begun
  deferred: u32; //   1: a batch of reclaim has put off a flush since the last one of flushDeferred
}
let state: State = changetype<State>(0);
let current: usize = 0; // u32[cpus]: generation that the CPU has flushed
let left: usize = 0; //    u8[cpus]: a flush has left it out
let idle: usize = 0; //    u64[cpus]: it waits for I/O until then

export function initShootdown(): void {
  state = changetype<State>(region(offsetof<State>()));
  current = region(<usize>cpuCount << 2);
  left = region(cpuCount);
  idle = region(<usize>cpuCount << 3);
}
@inline
function hasGenerations(): bool {
  return setting(SET_SHOOTDOWN) == SHOOTDOWN_GENERATIONS;
}

/** The agent, a CPU or not, waits for I/O until its clock. */
export function goIdle(who: Agent): void {
  if (who.id < cpuCount) store<u64>(idle + (<usize>who.id << 3), who.clock);
}
/** An idle CPU runs nothing of the program: the kernel's own thread, with the space still loaded (lazy TLB). */
function isIdle(id: u32, now: u64): bool {
  const cpu = agent(id);
  return now < load<u64>(idle + (<usize>id << 3)) || (cpu.state == BLOCKED && cpu.waitsFor == CAUSE_FRAME_WAIT);
}

/** Reclaim puts a flush off (mm/rmap.c set_tlb_ubc_flush_pending). Its own flush of the batch does not take that back. */
export function deferFlush(): void {
  state.deferred = 1;
}
/** Whether flushDeferred has something to flush. */
@inline
export function isDeferred(): bool {
  return state.deferred != 0;
}
/**
 * Flushes all, since reclaim may have taken away what this list finds gone (mm/rmap.c flush_tlb_batched_pending). What is put
 * off while it runs is flushed with it, whose effect is at its end.
 */
export function flushDeferred(run: Run, who: Agent): bool {
  if (run.phase == 0) bump(N_CPU_PENDING);
  if (!shootDown(run, who, 0, FLUSH_ALL)) return false;
  state.deferred = 0;
  return true;
}

/** What a flush is of: pages that the run has changed, in this hold inside braces; */
export const FLUSH_CHANGED: u32 = 0;
/** everything; */
export const FLUSH_ALL: u32 = 1;
/** the range that the list is called for. */
export const FLUSH_RANGE: u32 = 2;

/** Two turns: the flush is over when all have answered. `pages`: instructions that it takes, unless it is of everything. */
export function shootDown(run: Run, who: Agent, pages: u32, what: u32): bool {
  if (run.phase == 0) {
    run.phase = 1;
    begin(run, who, pages, what);
    return false;
  }
  run.phase = 0;
  for (let id: u32 = 0; id < cpuCount; id++) {
    const cpu = agent(id);
    const asked = ((run.asked >> id) & 1) != 0;
    if (hasGenerations() && id != who.id && !asked && cpu.state != DONE) continue;
    flush(run, id, who.clock, what);
    if (!asked || cpu.state == DONE) continue;
    spend(cpu, CAUSE_INTERRUPTED, cost(COST_IPI_HANDLER));
    exchange(id, who.id);
  }
  return true;
}

function begin(run: Run, who: Agent, pages: u32, what: u32): void {
  run.asked = 0;
  if (setting(SET_SHOOTDOWN) == SHOOTDOWN_BROADCAST) {
    spend(who, CAUSE_CPU_FLUSH, cost(COST_INVLPGB) * (what == FLUSH_ALL ? 1 : pages) + cost(COST_TLBSYNC));
    return;
  }
  run.generation = ++state.generation;
  let others: u32 = 0;
  for (let id: u32 = 0; id < cpuCount; id++) {
    if (id == who.id || agent(id).state == DONE) continue;
    if (hasGenerations() && isIdle(id, who.clock)) {
      store<u8>(left + id, 1);
      continue;
    }
    run.asked |= <u64>1 << id;
    others++;
  }
  if (who.id < cpuCount) spend(who, CAUSE_CPU_FLUSH, what == FLUSH_ALL ? cost(COST_FLUSH_FULL) : cost(COST_INVLPG) * pages);
  if (others == 0) return;
  bump(N_IPI);
  spend(who, CAUSE_IPI, cost(COST_IPI_FIRST) + cost(COST_IPI_NEXT) * (others - 1));
}

/** What one CPU does: what it is asked for; with generations nothing if it has done so, and all if it has missed any. */
function flush(run: Run, id: u32, now: u64, what: u32): void {
  if (!hasGenerations()) {
    if (what == FLUSH_ALL) flushCpu(id, now);
    else flushPages(run, id, what, now);
    return;
  }
  const at = current + (<usize>id << 2);
  const mine = load<u32>(at);
  if (mine == state.generation) return;
  store<u32>(at, state.generation);
  if (what != FLUSH_ALL && run.generation == mine + 1 && run.generation == state.generation) flushPages(run, id, what, now);
  else flushCpu(id, now);
}
function flushPages(run: Run, cpu: u32, what: u32, now: u64): void {
  if (what == FLUSH_RANGE) {
    for (let vpn = firstOf(run); vpn <= lastOf(run); vpn++) {
      const page = pageAt(vpn);
      if (page != 0) flushCpuPage(cpu, page - 1, now);
    }
    return;
  }
  if (!hasRange(run)) {
    flushCpuPage(cpu, run.page, now);
    return;
  }
  for (let i = oldRows(run); i < run.gathered; i++) flushCpuPage(cpu, rowPage(run, i), now);
}

/** A CPU that was left out comes back: it flushes all before anything else. Returns whether it did. */
export function catchUp(who: Agent): bool {
  if (load<u8>(left + who.id) == 0) return false;
  store<u8>(left + who.id, 0);
  const at = current + (<usize>who.id << 2);
  if (load<u32>(at) == state.generation) return false;
  store<u32>(at, state.generation);
  flushCpu(who.id, who.clock);
  spend(who, CAUSE_CPU_FLUSH, cost(COST_FLUSH_FULL));
  return true;
}

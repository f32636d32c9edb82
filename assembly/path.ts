// Runs a step list: what a policy says for one occasion, one step a turn. A step's effect is at the agent's clock, its
// cost comes after; where the effect is at the end (an IPI round, a wait) there are two turns.
import { Agent, agent, agentCount, DONE, exchange, spend } from './clock';
import { add, bump, N_IPI, N_PATH_COUNT, N_PATH_PAGES, N_PATH_PS, N_PATH_SECONDARY, N_UNMAPPED } from './counters';
import { framesFreed, freeFrame, putFrame, setPageOf } from './frame';
import { cost, region, setting } from './layout';
import { give, lockOf, newLocks, PAGE_TABLE_LOCK, take } from './lock';
import {
  AT_COW, AT_FAULT, AT_LAZYFREE, AT_MOVE, AT_PROTECT, AT_RECLAIM_LAZYFREE, AT_RECLAIM_REDIRTIED, AT_UNMAP, CAUSE_CPU_FLUSH, CAUSE_FREE, CAUSE_INTERRUPTED, CAUSE_IPI, CAUSE_LOCK,
  CAUSE_NOTIFIER, CAUSE_PTE, CAUSE_RMAP, COST_FLUSH_FULL, COST_FREE, COST_INVLPG, COST_IPI_FIRST, COST_IPI_HANDLER,
  COST_IPI_NEXT, COST_LOCK, COST_PTE_CLEAR, COST_PTE_SET, COST_PUT, COST_RANGE_END, COST_RANGE_START, COST_RMAP,
  COST_UNLOCK, KIND_GONE, OCCASIONS, SET_CEILING, SET_CHANGE_PTE, SET_IDEAL, SET_PAGES, SET_TABLES, STEP_AGAIN,
  STEP_CHANGE_PTE, STEP_CLEAR, STEP_CPU_DEFER, STEP_CPU_FLUSH, STEP_END, STEP_FREE, STEP_LOCK, STEP_LOOP, STEP_PUT,
  STEP_PUT_CALLER, STEP_RANGE_END, STEP_RANGE_START, STEP_REMOVE_RMAP, STEP_SECONDARY, STEP_SECONDARY_ALL,
  STEP_SECONDARY_END, STEP_SET_CLEAN, STEP_SET_MOVED, STEP_SET_NEW, STEP_SET_NONE, STEP_SET_OLD, STEP_SET_READONLY,
  STEP_SET_SWAP, STEP_UNLOCK,
} from './ops';
import { reachable } from './pasid';
import { noteUnmapped } from './recent';
import { countEmpty, forgetUser, oblige, setAsked } from './safety';
import { cpuCount, flushCpu, flushCpuPage, markFreed, recheck } from './space';
import { beginSubmission, stepSubmission, Submission } from './submit';
import {
  firstTable, frameOf, isReadOnly, keyAt, kindOf, pageAt, pageIn, pte, PTE_A, PTE_BUSY, PTE_CACHE, PTE_D, PTE_LAZY, PTE_P, PTE_SEEN,
  PTE_SWP, PTE_W, PTE_ZERO, setFrameOf, setKind, setPte, setReadOnly, tableAt, tableCount, TABLE_LG2, tableOfPage, vpnOf,
} from './table';

/** A list being run. */
@unmanaged
export class Run {
  steps: usize; //    u32[], the list; 0 = nothing runs
  at: u32; //         index of the next step
  loop: u32; //       index behind the last LOOP
  occasion: u32;
  phase: u32; //      of a step of two turns
  page: u32; //       of an occasion with one page
  oldFrame: u32;
  newFrame: u32;
  expects: u32; //    PTE that a fault began with, A and D left out
  writes: u32; //     the fault is a write
  position: u32; //   of an occasion with a range: the leaf table of this hold
  writable: u32; //   what the protection becomes
  touched: u32; //    pages changed so far
  gathered: u32; //   rows of `gather`
  inside: u32; //     1: between LOOP and AGAIN
  inHold: u32; //     rows before this hold
  hold: u32; //       table whose lock is held, + 1
  skip: u32; //       1: the PTE is no longer what it was; only the references are put
  mode: u32; //       what SET_NEW installs: MODE_*
  part: u32;
  began: u64; //      clock
  first: u64; //      the range: page numbers, first .. end
  end: u64;
  newFirst: u64;
  holdFirst: u64; //  pages changed in this hold, first .. last
  holdLast: u64;
  allFirst: u64; //   pages changed in all holds
  allLast: u64;
  gather: usize; //   u32[2 * pages]: page changed, frame to give back or 0
  job: Submission; // the invalidation under way
}
const RUN_BYTES: usize = offsetof<Run>();

/** What a fault installs. */
export const MODE_FRAME: u32 = 0; // a frame of its own
export const MODE_ZERO: u32 = 1; //  the shared zero page, read-only
export const MODE_REUSE: u32 = 2; // the frame it has, writable now

/** Parts of the list of an occasion: what is done per page of a batch, once per batch, and per page at its end. */
export const PART_BODY: u32 = 0;
export const PART_MIDDLE: u32 = 1;
export const PART_TAIL: u32 = 2;
const PARTS: u32 = 3;
/** Steps of one part, END included. */
export const LIST_WORDS: u32 = 64;

let runs: usize = 0; //  Run[agentCount]
let lists: usize = 0; // u32[OCCASIONS * PARTS * LIST_WORDS], written by the host
let locks: usize = 0; // of leaf tables
let ideal: bool = false;

export function initPaths(): void {
  ideal = setting(SET_IDEAL) != 0;
  lists = region(<usize>OCCASIONS * PARTS * LIST_WORDS << 2);
  locks = newLocks(setting(SET_TABLES), 1, PAGE_TABLE_LOCK);
  runs = region(<usize>agentCount * RUN_BYTES);
  for (let id: u32 = 0; id < agentCount; id++) {
    const run = runOf(id);
    run.job = changetype<Submission>(region(offsetof<Submission>()));
    // Ranges are the business of CPUs.
    if (id < cpuCount) run.gather = region(<usize>setting(SET_PAGES) << 3);
  }
}
export function listsAt(): usize {
  return lists;
}
@inline
export function runOf(id: u32): Run {
  return changetype<Run>(runs + <usize>id * RUN_BYTES);
}

/** Begins a list for one page. */
export function beginPage(who: Agent, occasion: u32, part: u32, page: u32): Run {
  const run = begin(who, occasion, part);
  run.page = page;
  run.first = vpnOf(page);
  run.end = run.first + 1;
  run.position = u32.MAX_VALUE;
  return run;
}
/** Begins a list for the pages first .. end - 1. */
export function beginRange(who: Agent, occasion: u32, first: u64, end: u64): Run {
  const run = begin(who, occasion, PART_BODY);
  run.first = first;
  run.end = end;
  run.position = firstTable(first);
  return run;
}
function begin(who: Agent, occasion: u32, part: u32): Run {
  const run = runOf(who.id);
  run.steps = lists + (<usize>((occasion * PARTS + part) * LIST_WORDS) << 2);
  run.at = run.loop = run.phase = run.touched = run.gathered = run.hold = run.skip = 0;
  run.mode = run.oldFrame = run.newFrame = run.writable = run.expects = run.writes = run.inside = run.inHold = 0;
  run.part = part;
  run.occasion = occasion;
  run.began = who.clock;
  run.allFirst = run.holdFirst = u64.MAX_VALUE;
  run.allLast = run.holdLast = 0;
  if (part == PART_BODY) bump(N_PATH_COUNT + occasion);
  return run;
}
@inline
function hasRange(run: Run): bool {
  return run.position != u32.MAX_VALUE;
}

/** One turn; returns whether the list is over. The agent may be blocked afterwards. */
export function stepPath(who: Agent): bool {
  const run = runOf(who.id);
  const before = who.clock;
  while (true) {
    const step = load<u32>(run.steps + (<usize>run.at << 2));
    if (step == STEP_END) {
      finish(run, who);
      return true;
    }
    if (!perform(run, who, step)) return false;
    run.at++;
    // Steps that take no time are done in the same turn; without locks, so is what a lock would hold together.
    if (who.clock != before && !(ideal && run.hold != 0)) return false;
  }
}

function finish(run: Run, who: Agent): void {
  const now = who.clock;
  // What moved to where no access goes is given back.
  if (run.occasion == AT_MOVE) free(run, who);
  // What was narrowed must be unusable when the program has its answer.
  if (hasRange(run)) {
    for (let i: u32 = 0; i < run.gathered; i++) {
      const page = rowPage(run, i);
      setAsked(page, 0);
      const flags = pte(page);
      if (run.occasion == AT_PROTECT || run.occasion == AT_LAZYFREE || (flags & PTE_P) == 0) {
        oblige(page, now, run.occasion == AT_PROTECT, reachable());
      }
    }
  }
  if (run.newFrame != 0) {
    // Somebody else was faster: what this fault brought is not needed.
    putFrame(run.newFrame);
    freeFrame(run.newFrame);
    run.newFrame = 0;
    framesFreed(who, now);
  }
  if (run.part == PART_BODY) add(N_PATH_PAGES + run.occasion, hasRange(run) ? run.touched : 1);
  add(N_PATH_PS + run.occasion, who.clock - run.began);
  run.steps = 0;
}

/** Carries out one step; false if the agent must come back to it, blocked or in a second turn. */
function perform(run: Run, who: Agent, step: u32): bool {
  switch (step) {
    case STEP_LOOP: {
      run.loop = run.at;
      if (hasRange(run) && !inRange(run)) skipLoop(run);
      else nextHold(run);
      return true;
    }
    case STEP_AGAIN: {
      if (!hasRange(run)) return true;
      run.position++;
      run.inside = 0;
      if (!inRange(run)) return true;
      run.at = run.loop;
      nextHold(run);
      return true;
    }
    case STEP_RANGE_START: {
      if (!ideal) spend(who, CAUSE_NOTIFIER, cost(COST_RANGE_START));
      return true;
    }
    case STEP_RANGE_END: {
      if (!ideal) spend(who, CAUSE_NOTIFIER, cost(COST_RANGE_END));
      return true;
    }
    case STEP_LOCK: return lock(run, who);
    case STEP_UNLOCK: {
      if (ideal) run.hold = 0;
      if (run.hold == 0) return true;
      if (run.phase == 0) {
        run.phase = 1;
        spend(who, CAUSE_LOCK, cost(COST_UNLOCK));
        return false;
      }
      run.phase = 0;
      give(lockOf(locks, run.hold - 1), who);
      run.hold = 0;
      return true;
    }
    case STEP_CPU_FLUSH: return ideal || cpuFlush(run, who);
    case STEP_CPU_DEFER: return true; // what it puts off is done by the batch's flush
    case STEP_SECONDARY: {
      if (run.touched == 0) return true;
      const inside = run.inside != 0;
      return secondary(run, who, inside ? run.holdFirst : run.allFirst, inside ? run.holdLast : run.allLast, false);
    }
    case STEP_SECONDARY_ALL: return run.touched == 0 || secondary(run, who, 0, u64.MAX_VALUE, true);
    case STEP_SECONDARY_END: return rangeEnd(run, who);
    case STEP_CHANGE_PTE: return run.skip != 0 || setting(SET_CHANGE_PTE) == 0 || secondary(run, who, run.first, run.first, false);
    case STEP_PUT: {
      if (run.skip != 0) return true;
      putFrame(run.oldFrame);
      spend(who, CAUSE_RMAP, cost(COST_PUT));
      return true;
    }
    case STEP_PUT_CALLER: {
      putFrame(run.oldFrame);
      // Nobody else gives a frame back that is no longer this list's.
      if (run.skip != 0 || run.occasion == AT_RECLAIM_REDIRTIED) free(run, who);
      spend(who, CAUSE_RMAP, cost(COST_PUT));
      return true;
    }
    case STEP_FREE: {
      free(run, who);
      return true;
    }
    default: {
      changePages(run, who, step);
      return true;
    }
  }
}

function skipLoop(run: Run): void {
  while (load<u32>(run.steps + (<usize>run.at << 2)) != STEP_AGAIN) run.at++;
}
function inRange(run: Run): bool {
  return run.position < tableCount && keyAt(run.position) <= (run.end - 1) >> TABLE_LG2;
}

/** Another table's pages, in the braces of a range. */
function nextHold(run: Run): void {
  run.inside = 1;
  run.inHold = run.gathered;
  run.holdFirst = u64.MAX_VALUE;
  run.holdLast = 0;
}

function lock(run: Run, who: Agent): bool {
  if (ideal) {
    run.hold = tableOf(run) + 1;
    check(run);
    return true;
  }
  if (run.phase == 0) {
    run.phase = 1;
    if (!take(lockOf(locks, tableOf(run)), who)) return false;
  }
  run.phase = 0;
  run.hold = tableOf(run) + 1;
  spend(who, CAUSE_LOCK, cost(COST_LOCK));
  check(run);
  return true;
}
@inline
function tableOf(run: Run): u32 {
  return hasRange(run) ? tableAt(run.position) : tableOfPage(run.page);
}
/** Under the lock: is the PTE still what made this run begin? */
function check(run: Run): void {
  if (hasRange(run) || run.touched != 0) return;
  const page = run.page;
  const flags = pte(page);
  const present = (flags & PTE_P) != 0;
  let good = !present || frameOf(page) == run.oldFrame;
  if (run.occasion == AT_FAULT || run.occasion == AT_COW) {
    // As pte_same() does; the range may be gone or read-only by now, too.
    if ((flags & ~(PTE_A | PTE_D)) != run.expects || kindOf(page) == KIND_GONE) good = false;
    if (run.writes != 0 && isReadOnly(page)) good = false;
  } else if (!present || (run.occasion == AT_RECLAIM_LAZYFREE && (flags & PTE_D) != 0)) good = false;
  run.skip = good ? 0 : 1;
}

/** range_end knows nothing of what was found under the lock. */
function rangeEnd(run: Run, who: Agent): bool {
  if (run.inside == 0) return secondary(run, who, run.first, run.end - 1, false);
  const base = keyAt(run.position) << TABLE_LG2;
  return secondary(run, who, max(run.first, base), min(run.end - 1, base + (1 << TABLE_LG2) - 1), false);
}

function secondary(run: Run, who: Agent, first: u64, last: u64, whole: bool): bool {
  if (ideal || first > last) return true;
  if (run.phase == 0) {
    run.phase = 1;
    bump(N_PATH_SECONDARY + run.occasion);
    beginSubmission(run.job, first, last, whole);
  }
  if (!stepSubmission(run.job, who)) return false;
  run.phase = 0;
  return true;
}

/** CPUs that use the space, other than this one, flush by IPI; the flush is over when all have answered. */
function cpuFlush(run: Run, who: Agent): bool {
  const pages = hasRange(run) ? run.gathered - oldRows(run) : run.touched;
  if (pages == 0) return true;
  const mine = who.id < cpuCount;
  const others = cpuCount - (mine ? 1 : 0);
  const full = run.part == PART_MIDDLE || pages > setting(SET_CEILING);
  if (run.phase == 0) {
    run.phase = 1;
    if (mine) spend(who, CAUSE_CPU_FLUSH, full ? cost(COST_FLUSH_FULL) : cost(COST_INVLPG) * pages);
    if (others != 0) {
      bump(N_IPI);
      spend(who, CAUSE_IPI, cost(COST_IPI_FIRST) + cost(COST_IPI_NEXT) * (others - 1));
    }
    return false;
  }
  run.phase = 0;
  for (let id: u32 = 0; id < cpuCount; id++) {
    const cpu = agent(id);
    if (full) flushCpu(id, who.clock);
    else flushPages(run, id, who.clock);
    if (id == who.id || cpu.state == DONE) continue;
    spend(cpu, CAUSE_INTERRUPTED, cost(COST_IPI_HANDLER));
    exchange(id, who.id);
  }
  return true;
}
function flushPages(run: Run, cpu: u32, now: u64): void {
  if (!hasRange(run)) {
    flushCpuPage(cpu, run.page, now);
    return;
  }
  for (let i = oldRows(run); i < run.gathered; i++) flushCpuPage(cpu, rowPage(run, i), now);
}
/** Rows of earlier holds: no business of a step inside the braces. */
@inline
function oldRows(run: Run): u32 {
  return run.inside != 0 ? run.inHold : 0;
}
@inline
function rowPage(run: Run, row: u32): u32 {
  return load<u32>(run.gather + (<usize>row << 3));
}

/** Gives back what the run has gathered, or its one frame. */
function free(run: Run, who: Agent): void {
  const now = who.clock;
  let freed: u64 = 0;
  if (!hasRange(run)) freed = freeOne(run.page, run.oldFrame, now);
  for (let i: u32 = 0; i < run.gathered; i++) {
    const at = run.gather + (<usize>i << 3);
    const frame = load<u32>(at, 4);
    if (frame == 0) continue;
    store<u32>(at, 0, 4);
    putFrame(frame);
    freed += freeOne(load<u32>(at), frame, now);
  }
  if (freed == 0) return;
  framesFreed(who, now);
  spend(who, CAUSE_FREE, cost(COST_FREE) * freed);
}
function freeOne(page: u32, frame: u32, now: u64): u64 {
  if (!freeFrame(frame)) return 0;
  oblige(page, now, false, reachable());
  markFreed(frame);
  return 1;
}

/** A step on PTEs or rmap: on the run's page, or on every page of this hold. */
function changePages(run: Run, who: Agent, step: u32): void {
  // mremap fills PTEs without the lock of their table, so that a fault looks once more.
  if (step == STEP_SET_NEW && run.occasion == AT_FAULT) check(run);
  if (run.skip != 0) return;
  const now = who.clock;
  if (!hasRange(run)) {
    changePage(run, who, step, run.page, now);
    return;
  }
  const base = keyAt(run.position) << TABLE_LG2;
  const table = tableAt(run.position);
  const from = run.first > base ? <u32>(run.first - base) : 0;
  const to = min<u64>(run.end - base, 1 << TABLE_LG2);
  for (let slot = from; slot < <u32>to; slot++) {
    const page = pageIn(table, slot);
    if (page != 0) changePage(run, who, step, page - 1, now);
  }
}

/** The effect is at `now`, when the step began, on all pages; the time is spent afterwards. */
function changePage(run: Run, who: Agent, step: u32, page: u32, now: u64): void {
  const flags = pte(page);
  switch (step) {
    case STEP_CLEAR: {
      clear(run, who, page, flags, now);
      break;
    }
    case STEP_REMOVE_RMAP: {
      if (!gatheredNow(run, page)) break;
      setPageOf(hasRange(run) ? frameOf(page) : run.oldFrame, 0);
      spend(who, CAUSE_RMAP, cost(COST_RMAP));
      break;
    }
    default: {
      if (run.occasion == AT_PROTECT) setReadOnly(page, run.writable != 0 ? 0 : 1);
      if (hasRange(run) && !gatheredNow(run, page) && step != STEP_SET_NONE && step != STEP_SET_MOVED) break;
      set(run, who, step, page, flags, now);
      break;
    }
  }
}
/** Whether this run has cleared the page's PTE: it was present. */
@inline
function gatheredNow(run: Run, page: u32): bool {
  return !hasRange(run) || gatherRow(run, page) != 0;
}
/** Address of the page's row among those that a range has cleared, in order of address; or 0. */
function gatherRow(run: Run, page: u32): usize {
  for (let i = run.gathered; i > 0; i--) {
    const entry = rowPage(run, i - 1);
    if (entry == page) return run.gather + (<usize>(i - 1) << 3);
    if (vpnOf(entry) < vpnOf(page)) return 0;
  }
  return 0;
}

function clear(run: Run, who: Agent, page: u32, flags: u32, now: u64): void {
  if ((flags & PTE_P) == 0) return;
  // A range that becomes writable, or clean pages to clean again, narrow nothing.
  if (run.occasion == AT_PROTECT && (run.writable != 0 || (flags & PTE_W) == 0)) return;
  if (run.occasion == AT_LAZYFREE && (flags & (PTE_ZERO | PTE_CACHE)) != 0) return;
  setPte(page, flags & ~PTE_P);
  spend(who, CAUSE_PTE, cost(COST_PTE_CLEAR));
  recheck(page, now);
  countEmpty(page);
  forgetUser(page);
  changed(run, page);
}
/** The page is one of those that flushes are for. */
function changed(run: Run, page: u32): void {
  const vpn = vpnOf(page);
  if (vpn < run.holdFirst) run.holdFirst = vpn;
  if (vpn > run.holdLast) run.holdLast = vpn;
  if (vpn < run.allFirst) run.allFirst = vpn;
  if (vpn > run.allLast) run.allLast = vpn;
  run.touched++;
  if (!hasRange(run)) return;
  setAsked(page, 1);
  const at = run.gather + (<usize>run.gathered << 3);
  run.gathered++;
  store<u32>(at, page);
  store<u32>(at + 4, 0);
}

function set(run: Run, who: Agent, step: u32, page: u32, flags: u32, now: u64): void {
  const none = step == STEP_SET_NONE;
  if (!none) spend(who, CAUSE_PTE, cost(COST_PTE_SET));
  switch (step) {
    case STEP_SET_SWAP: {
      setPte(page, PTE_SWP | PTE_SEEN | PTE_BUSY);
      unmapped(page);
      break;
    }
    case STEP_SET_NONE: {
      setNone(run, page, flags);
      break;
    }
    case STEP_SET_NEW: {
      install(run, page, flags);
      if (run.occasion != AT_COW || run.touched != 0) break;
      // Replaced without a clear before.
      recheck(page, now);
      countEmpty(page);
      changed(run, page);
      break;
    }
    case STEP_SET_READONLY: {
      setPte(page, (flags | PTE_P) & ~PTE_W);
      break;
    }
    case STEP_SET_CLEAN: {
      setPte(page, ((flags | PTE_P | PTE_LAZY) & ~(PTE_A | PTE_D)));
      break;
    }
    case STEP_SET_OLD: {
      setPte(page, (flags | PTE_P) & ~PTE_LAZY);
      break;
    }
    case STEP_SET_MOVED: {
      move(run, page, flags, now);
      break;
    }
  }
  recheck(page, now);
}

/** A fault's PTE. */
function install(run: Run, page: u32, flags: u32): void {
  if (run.mode == MODE_REUSE) {
    setPte(page, flags | PTE_W | PTE_D | PTE_A);
    return;
  }
  setFrameOf(page, run.newFrame);
  setPte(page, PTE_P | PTE_A | run.writable | (run.mode == MODE_ZERO ? PTE_ZERO : 0));
  if (run.mode == MODE_FRAME) setPageOf(run.newFrame, page + 1);
  forgetUser(page);
  run.newFrame = 0;
}

function unmapped(page: u32): void {
  bump(N_UNMAPPED);
  noteUnmapped(page);
}

/** Nothing is left of the PTE: by reclaim, or because the program unmapped or discarded the page. */
function setNone(run: Run, page: u32, flags: u32): void {
  const asks = hasRange(run);
  if (!asks) {
    // A page of the page cache stays locked until it is gone; a discarded anonymous page can be faulted at once.
    setPte(page, (flags & PTE_CACHE) != 0 ? PTE_SEEN | PTE_BUSY : 0);
    unmapped(page);
    return;
  }
  if (run.occasion == AT_UNMAP) setKind(page, KIND_GONE);
  const row = gatherRow(run, page);
  if (row != 0) {
    // The gather takes over the mapping's reference.
    store<u32>(row, (flags & PTE_ZERO) != 0 ? 0 : frameOf(page), 4);
    unmapped(page);
  } else if ((flags & PTE_P) != 0) {
    return;
  }
  setPte(page, flags & PTE_BUSY); // reclaim still works on what was there
}

/** mremap: what the page was is found at its new address, where nothing is. */
function move(run: Run, page: u32, flags: u32, now: u64): void {
  const row = gatherRow(run, page);
  const to = pageAt(vpnOf(page) - run.first + run.newFirst);
  const kind = kindOf(page);
  setPte(page, flags & PTE_BUSY); // reclaim still works on what was there
  setKind(page, KIND_GONE);
  if (to == 0) {
    // No access of the trace goes there: the frame is given back at the end of the list.
    if (row == 0 || (flags & PTE_ZERO) != 0) return;
    setPageOf(frameOf(page), 0);
    store<u32>(row, frameOf(page), 4);
    return;
  }
  const target = to - 1;
  setKind(target, kind);
  setReadOnly(target, isReadOnly(page) ? 1 : 0);
  setPte(target, (flags & ~PTE_BUSY) | (row != 0 ? PTE_P : 0));
  if (row == 0) return;
  setFrameOf(target, frameOf(page));
  if ((flags & PTE_ZERO) == 0) setPageOf(frameOf(page), to);
  forgetUser(target);
  recheck(target, now);
}

// Runs a step list: what a policy says for one occasion, one step a turn. A step's effect is at the agent's clock, its
// cost comes after; where the effect is at the end (an IPI round, a wait) there are two turns.
import { acquire, Agent, agent, agentCount, DONE, knowledgeOf, spend } from './clock';
import { add, bump, N_IPI, N_PATH_COUNT, N_PATH_PAGES, N_PATH_PS, N_PATH_SECONDARY, N_UNMAPPED } from './counters';
import { freeFrame, putFrame, setPageOf } from './frame';
import { cost, region, setting } from './layout';
import { give, lockOf, newLocks, PAGE_TABLE_LOCK, take } from './lock';
import {
  AT_FAULT, AT_LAZYFREE, AT_PROTECT, AT_UNMAP, CAUSE_CPU_FLUSH, CAUSE_FREE, CAUSE_INTERRUPTED, CAUSE_IPI, CAUSE_LOCK,
  CAUSE_NOTIFIER, CAUSE_PTE, CAUSE_RMAP, COST_FLUSH_FULL, COST_FREE, COST_INVLPG, COST_IPI_FIRST, COST_IPI_HANDLER,
  COST_IPI_NEXT, COST_LOCK, COST_PTE_CLEAR, COST_PTE_SET, COST_PUT, COST_RANGE_END, COST_RANGE_START, COST_RMAP,
  COST_UNLOCK, KIND_GONE, OCCASIONS, SET_CEILING, SET_CHANGE_PTE, SET_FRAMES, SET_IDEAL, SET_TABLES, STEP_AGAIN,
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
  firstTable, frameOf, keyAt, kindOf, pageAt, pageIn, pte, PTE_A, PTE_BUSY, PTE_CACHE, PTE_D, PTE_LAZY, PTE_P, PTE_SEEN,
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
  position: u32; //   of an occasion with a range: the leaf table of this hold
  writable: u32; //   what the protection becomes
  touched: u32; //    pages changed so far
  gathered: u32; //   of them, frames to give back
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
  gather: usize; //   u32[2 * frames]: page, frame
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
    // A device's fault handler gathers nothing.
    if (id <= cpuCount) run.gather = region(<usize>setting(SET_FRAMES) << 3);
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
  run.mode = run.oldFrame = run.newFrame = run.writable = 0;
  run.part = part;
  run.occasion = occasion;
  run.began = who.clock;
  run.allFirst = u64.MAX_VALUE;
  run.allLast = 0;
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
  while (true) {
    const before = who.clock;
    const step = load<u32>(run.steps + (<usize>run.at << 2));
    if (step == STEP_END) {
      finish(run, who);
      return true;
    }
    if (!perform(run, who, step)) return false;
    run.at++;
    // Steps that take no time are done in the same turn.
    if (who.clock != before) return false;
  }
}

function finish(run: Run, who: Agent): void {
  // What was narrowed must be unusable when the program has its answer.
  if (hasRange(run)) {
    for (let i: u32 = 0; i < run.gathered; i++) {
      const page = load<u32>(run.gather + (<usize>i << 3));
      setAsked(page, 0);
      const flags = pte(page);
      if (run.occasion == AT_PROTECT || run.occasion == AT_LAZYFREE || (flags & PTE_P) == 0) {
        oblige(page, who.clock, run.occasion == AT_PROTECT, reachable());
      }
    }
  }
  if (run.newFrame != 0) {
    // Somebody else was faster: what this fault brought is not needed.
    putFrame(run.newFrame);
    freeFrame(run.newFrame);
    run.newFrame = 0;
  }
  add(N_PATH_PAGES + run.occasion, hasRange(run) ? run.touched : 1);
  add(N_PATH_PS + run.occasion, who.clock - run.began);
  run.steps = 0;
}

/** Carries out one step; false if the agent must come back to it, blocked or in a second turn. */
function perform(run: Run, who: Agent, step: u32): bool {
  switch (step) {
    case STEP_LOOP: {
      run.loop = run.at;
      if (hasRange(run) && !inRange(run)) skipLoop(run);
      return true;
    }
    case STEP_AGAIN: {
      if (!hasRange(run)) return true;
      run.position++;
      if (inRange(run)) run.at = run.loop;
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
      if (ideal || run.hold == 0) return true;
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
    case STEP_CPU_FLUSH: return ideal || run.skip != 0 || cpuFlush(run, who);
    case STEP_CPU_DEFER: return true; // what it puts off is done by the batch's flush
    case STEP_SECONDARY: {
      const inHold = run.hold != 0;
      if (run.touched == 0) return true;
      return secondary(run, who, inHold ? run.holdFirst : run.allFirst, inHold ? run.holdLast : run.allLast, false);
    }
    case STEP_SECONDARY_ALL: return run.touched == 0 || secondary(run, who, 0, u64.MAX_VALUE, true);
    case STEP_SECONDARY_END: return secondary(run, who, run.first, run.end - 1, false);
    case STEP_CHANGE_PTE: return setting(SET_CHANGE_PTE) == 0 || secondary(run, who, run.first, run.first, false);
    case STEP_PUT: return run.skip != 0 || put(run, who, run.oldFrame);
    case STEP_PUT_CALLER: return put(run, who, run.oldFrame);
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

function lock(run: Run, who: Agent): bool {
  run.holdFirst = u64.MAX_VALUE;
  run.holdLast = 0;
  if (ideal) {
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
  if (hasRange(run)) return;
  const present = (pte(run.page) & PTE_P) != 0;
  if (run.occasion == AT_FAULT) run.skip = present == (run.mode == MODE_REUSE) ? 0 : 1;
  else run.skip = present && frameOf(run.page) == run.oldFrame ? 0 : 1;
}

function secondary(run: Run, who: Agent, first: u64, last: u64, whole: bool): bool {
  if (ideal || run.skip != 0 || first > last) return true;
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
  if (run.touched == 0) return true;
  const pages = run.touched;
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
    acquire(id, knowledgeOf(who.id));
    acquire(who.id, knowledgeOf(id));
  }
  return true;
}
function flushPages(run: Run, cpu: u32, now: u64): void {
  if (!hasRange(run)) {
    flushCpuPage(cpu, run.page, now);
    return;
  }
  for (let i: u32 = 0; i < run.gathered; i++) flushCpuPage(cpu, load<u32>(run.gather + (<usize>i << 3)), now);
}

function put(run: Run, who: Agent, frame: u32): bool {
  putFrame(frame);
  spend(who, CAUSE_RMAP, cost(COST_PUT));
  return true;
}

/** Gives back what the run has gathered, or its one frame. */
function free(run: Run, who: Agent): void {
  if (!hasRange(run)) {
    freeOne(run.page, run.oldFrame, who);
    return;
  }
  for (let i: u32 = 0; i < run.gathered; i++) {
    const page = load<u32>(run.gather + (<usize>i << 3));
    const frame = load<u32>(run.gather + (<usize>i << 3) + 4);
    if (frame == 0) continue;
    putFrame(frame);
    freeOne(page, frame, who);
  }
}
function freeOne(page: u32, frame: u32, who: Agent): void {
  if (!freeFrame(frame)) return;
  oblige(page, who.clock, false, reachable());
  markFreed(frame);
  spend(who, CAUSE_FREE, cost(COST_FREE));
}

/** A step on PTEs or rmap: on the run's page, or on every page of this hold. */
function changePages(run: Run, who: Agent, step: u32): void {
  if (run.skip != 0) return;
  if (!hasRange(run)) {
    changePage(run, who, step, run.page);
    return;
  }
  const base = keyAt(run.position) << TABLE_LG2;
  const table = tableAt(run.position);
  const from = run.first > base ? <u32>(run.first - base) : 0;
  const to = min<u64>(run.end - base, 1 << TABLE_LG2);
  for (let slot = from; slot < <u32>to; slot++) {
    const page = pageIn(table, slot);
    if (page != 0) changePage(run, who, step, page - 1);
  }
}

function changePage(run: Run, who: Agent, step: u32, page: u32): void {
  const flags = pte(page);
  switch (step) {
    case STEP_CLEAR: {
      clear(run, who, page, flags);
      break;
    }
    case STEP_REMOVE_RMAP: {
      if (!gatheredNow(run, page)) break;
      if (run.newFrame == 0 || hasRange(run)) setPageOf(frameOf(page), 0);
      else setPageOf(run.oldFrame, 0);
      spend(who, CAUSE_RMAP, cost(COST_RMAP));
      break;
    }
    default: {
      if (run.occasion == AT_PROTECT) setReadOnly(page, run.writable != 0 ? 0 : 1);
      if (hasRange(run) && !gatheredNow(run, page) && step != STEP_SET_NONE && step != STEP_SET_MOVED) break;
      set(run, who, step, page, flags);
      break;
    }
  }
}
/** Whether this hold has cleared the page's PTE: it is not present and was. */
@inline
function gatheredNow(run: Run, page: u32): bool {
  if (!hasRange(run)) return true;
  const last = run.gathered;
  for (let i: u32 = last; i > 0; i--) {
    const entry = load<u32>(run.gather + (<usize>(i - 1) << 3));
    if (entry == page) return true;
    if (vpnOf(entry) < vpnOf(page)) return false;
  }
  return false;
}

function clear(run: Run, who: Agent, page: u32, flags: u32): void {
  if ((flags & PTE_P) == 0) return;
  // A range that becomes writable, or clean pages to clean again, narrow nothing.
  if (run.occasion == AT_PROTECT && (run.writable != 0 || (flags & PTE_W) == 0)) return;
  if (run.occasion == AT_LAZYFREE && (flags & (PTE_ZERO | PTE_CACHE)) != 0) return;
  setPte(page, flags & ~PTE_P);
  spend(who, CAUSE_PTE, cost(COST_PTE_CLEAR));
  recheck(page, who.clock);
  countEmpty(page);
  if (!hasRange(run)) {
    run.touched = 1;
    run.holdFirst = run.holdLast = run.allFirst = run.allLast = vpnOf(page);
    forgetUser(page);
    return;
  }
  setAsked(page, 1);
  const vpn = vpnOf(page);
  if (vpn < run.holdFirst) run.holdFirst = vpn;
  if (vpn > run.holdLast) run.holdLast = vpn;
  if (vpn < run.allFirst) run.allFirst = vpn;
  if (vpn > run.allLast) run.allLast = vpn;
  const at = run.gather + (<usize>run.gathered << 3);
  run.gathered++;
  run.touched++;
  store<u32>(at, page);
  store<u32>(at + 4, 0);
}

function set(run: Run, who: Agent, step: u32, page: u32, flags: u32): void {
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
      move(run, who, page, flags);
      break;
    }
  }
  recheck(page, who.clock);
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
  if ((flags & PTE_BUSY) != 0) return; // reclaim has it; nothing is mapped
  if (gatheredNow(run, page)) {
    // The gather takes over the mapping's reference.
    const frame = (flags & PTE_ZERO) != 0 ? 0 : frameOf(page);
    for (let i = run.gathered; i > 0; i--) {
      const at = run.gather + (<usize>(i - 1) << 3);
      if (load<u32>(at) != page) continue;
      store<u32>(at + 4, frame);
      break;
    }
    unmapped(page);
    forgetUser(page);
  } else if ((flags & PTE_P) != 0) {
    return;
  }
  setPte(page, 0);
}

/** mremap: what the page was is found at its new address. */
function move(run: Run, who: Agent, page: u32, flags: u32): void {
  if ((flags & PTE_BUSY) != 0) return;
  const cleared = gatheredNow(run, page);
  const to = pageAt(vpnOf(page) - run.first + run.newFirst);
  setPte(page, 0);
  if (to == 0) {
    // No access of the trace goes there: the frame is given back at the end of the list.
    if (cleared && (flags & PTE_ZERO) == 0) store<u32>(run.gather + (<usize>(run.gathered - 1) << 3) + 4, frameOf(page));
    return;
  }
  const target = to - 1;
  setKind(target, kindOf(page));
  setKind(page, KIND_GONE);
  setPte(target, cleared ? flags | PTE_P : flags);
  if (!cleared) return;
  setFrameOf(target, frameOf(page));
  if ((flags & PTE_ZERO) == 0) setPageOf(frameOf(page), to);
  forgetUser(page);
  forgetUser(target);
  recheck(target, who.clock);
}

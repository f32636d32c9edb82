// What the kernel does to the pages of a range on its own account, one by one: it cleans, replaces, merges, migrates them.
// A list a page, or two; and what a child of fork gives back.
import { Agent, spend } from './clock';
import { MODE_FRAME, Run } from './execution';
import { take, waitForFrames } from './fault';
import { callerHolds, frameCount, framesFreed, freeFrames, getFrame, refsOf, sharedPage, unshareFrame } from './frame';
import { cost, region } from './layout';
import {
  AT_CLEAN, AT_COLLECT, AT_INSERT, AT_MERGE, AT_MERGE_PROTECT, AT_MIGRATE, AT_MISPLACED, AT_POISON, AT_REPLACE, CAUSE_PAGE_COPY, COST_PAGE_COPY, KIND_FILE, KIND_HUGE, KIND_POOL, KIND_SHARED,
} from './ops';
import { beginPage, freeOne, PART_BODY, runOf } from './path';
import { cpuCount } from './space';
import {
  firstTable, frameOf, isReadOnly, keyAt, kindOf, pageIn, pte, PTE_A, PTE_AWAY, PTE_CACHE, PTE_D, PTE_LAZY, PTE_LOCKED, PTE_MERGED, PTE_P, PTE_W, PTE_ZERO,
  setPte, TABLE_LG2, tableAt, tableCount, vpnOf,
} from './table';

// Stages of the work on one page.
const LOOK: u32 = 0; //   none is in hand
const FIRST: u32 = 1; //  its first list runs
const SECOND: u32 = 2; // its second one is to begin
const LAST: u32 = 3; //   that runs

/** The work that a CPU has in hand. */
@unmanaged
class Work {
  next: u64; //   page numbers not yet looked at, next .. end
  end: u64;
  first: u32; //  occasions; no second: 0
  second: u32;
  page: u32; //   in hand
  stage: u32;
}
let works: usize = 0; // Work[cpuCount]

export function initWork(): void {
  works = region(<usize>cpuCount * offsetof<Work>());
}
@inline
function workOf(who: Agent): Work {
  return changetype<Work>(works + <usize>who.id * offsetof<Work>());
}

/** Work on the pages first .. end - 1 begins. False if there is nothing to do. */
export function beginWork(who: Agent, first: u64, end: u64, occasion: u32, second: u32): bool {
  const work = workOf(who);
  work.next = first;
  work.end = end;
  work.first = occasion;
  work.second = second;
  work.stage = LOOK;
  return nextList(who);
}

/** Whether a list of the work runs; if not, the agent has waited for frames. */
export function hasList(who: Agent): bool {
  return runOf(who.id).steps != 0;
}

/** Begins the next list, or waits for a frame that it needs. False if the work is done. */
export function nextList(who: Agent): bool {
  const work = workOf(who);
  // What was not done to the page in the first list leaves nothing to do in the second.
  if (work.stage == FIRST) work.stage = work.second != 0 && runOf(who.id).skip == 0 ? SECOND : LOOK;
  else if (work.stage == LAST) work.stage = LOOK;
  if (work.stage == SECOND) {
    if (fits(work.second, work.page)) {
      if (beginFor(who, work.second, work.page)) work.stage = LAST;
      return true;
    }
    work.stage = LOOK;
  }
  const found = find(work);
  if (found == 0) return false;
  if (!beginFor(who, occasionOf(work.first, found - 1), found - 1)) return true;
  work.page = found - 1;
  work.next = vpnOf(work.page) + 1;
  work.stage = FIRST;
  return true;
}

/** Page id + 1 of the next page to work on, or 0. */
function find(work: Work): u32 {
  for (let position = firstTable(work.next); position < tableCount; position++) {
    const base = keyAt(position) << TABLE_LG2;
    if (base >= work.end) return 0;
    for (let slot: u32 = work.next > base ? <u32>(work.next - base) : 0; slot < 1 << TABLE_LG2; slot++) {
      if (base + slot >= work.end) return 0;
      const page = pageIn(tableAt(position), slot);
      if (page != 0 && fits(occasionOf(work.first, page - 1), page - 1)) return page;
    }
  }
  return 0;
}

/** What the work does to a page: the zero page is replaced, not moved. */
export function occasionOf(first: u32, page: u32): u32 {
  return first == AT_COLLECT && (pte(page) & PTE_ZERO) != 0 ? AT_INSERT : first;
}

/** Whether there is something to do for the occasion. */
export function fits(occasion: u32, page: u32): bool {
  const flags = pte(page);
  if ((flags & (PTE_P | PTE_LOCKED)) != PTE_P) return false;
  if (occasion == AT_CLEAN) return (flags & PTE_W) != 0 && kindOf(page) == KIND_SHARED;
  if (occasion == AT_REPLACE) return (flags & PTE_CACHE) != 0 && kindOf(page) == KIND_FILE;
  // Nobody else may refer to what is moved or merged.
  const alone = (flags & PTE_ZERO) == 0 && refsOf(frameOf(page)) == 1;
  if (occasion == AT_INSERT) return (flags & PTE_ZERO) != 0;
  if (occasion == AT_MIGRATE || occasion == AT_POISON || occasion == AT_COLLECT) return alone;
  if (kindOf(page) == KIND_POOL) return false;
  if (occasion == AT_MERGE && (flags & PTE_W) != 0) return false;
  if (occasion == AT_MISPLACED && ((flags & PTE_AWAY) == 0 || kindOf(page) != KIND_HUGE)) return false;
  return alone && (flags & (PTE_CACHE | PTE_LAZY | PTE_MERGED)) == 0;
}

/** Begins the list of a page that it fits. False: the agent waits for a frame first. */
export function beginFor(who: Agent, occasion: u32, page: u32): bool {
  const replaces = occasion != AT_CLEAN && occasion != AT_MERGE_PROTECT && occasion != AT_POISON;
  if (replaces && freeFrames() == 0) {
    waitForFrames(who);
    return false;
  }
  const flags = pte(page);
  const run = beginPage(who, occasion, PART_BODY, page);
  run.oldFrame = frameOf(page);
  if ((replaces || occasion == AT_POISON) && callerHolds()) getFrame(run.oldFrame);
  if (!replaces) return true;
  take(run, page, who);
  run.mode = MODE_FRAME;
  run.writable = occasion == AT_MIGRATE || occasion == AT_COLLECT ? flags & ~(PTE_P | PTE_A | PTE_AWAY)
    : occasion == AT_MERGE ? PTE_MERGED
    : occasion == AT_INSERT && !isReadOnly(page) ? PTE_W | PTE_D
    : occasion == AT_MISPLACED ? PTE_D | (isReadOnly(page) ? 0 : PTE_W)
    : 0;
  if (occasion == AT_MISPLACED) return beginCopy(run, flags);
  if (occasion != AT_MERGE) spend(who, CAUSE_PAGE_COPY, cost(COST_PAGE_COPY));
  return true;
}

/**
 * The page is locked as it is, and TLBs may have it all the same, though its PTE says otherwise: flushes are for it before anything
 * has changed.
 */
function beginCopy(run: Run, flags: u32): bool {
  setPte(run.page, flags | PTE_LOCKED);
  run.expects = (flags | PTE_LOCKED) & ~(PTE_A | PTE_D);
  run.allFirst = run.allLast = run.first;
  return true;
}

/** The child is gone: frames that it alone still had are free. */
export function reap(who: Agent): void {
  let freed: u64 = 0;
  for (let frame: u32 = 1; frame <= frameCount; frame++)
    if (unshareFrame(frame)) freed += freeOne(sharedPage(frame), frame, who);
  if (freed != 0) framesFreed(who, who.clock);
}

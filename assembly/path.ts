// Runs a step list: what a policy says for one occasion, one step a turn. A step's effect is at the agent's clock, its
// cost comes after; where the effect is at the end (an IPI round, a wait) there are two turns.
import { bank, banks } from './bank';
import { isBound } from './binding';
import { changePages, check, settlePages, unlockPage } from './change';
import { Agent, agentCount, spend } from './clock';
import { beginRange as beginNotified, endRange, mapsAny, moveOn, seesRanges } from './consumer';
import { canReach, select } from './consumers';
import { N_CALLBACK_PS, N_PATH_COUNT, N_PATH_PAGES, N_PATH_PS, N_PATH_SECONDARY, N_SECONDARY, N_SKIPPED, add, bump, first } from './counters';
import { Run, endHold, firstOf, hasNothing, hasRange, inRange, isCall, isCallback, isNone, isTwofold, lastOf, nextHold, oldRows, rowPage } from './execution';
import { callerHolds, framesFreed, freeFrame, putFrame } from './frame';
import { freeTables, unlinkTables } from './freed';
import { hazard, HAZARD_CLEAN_KEEPS_DEVICE_TLB } from './hazard';
import { cost, fixed, region, setting } from './layout';
import { LOG_FREE, LOG_STEP, note } from './log';
import { PAGE_TABLE_LOCK, give, lockOf, newLocks, take } from './lock';
import { MMAP_NONE, MMAP_READ, MMAP_WRITE, giveMmap, takeMmap } from './mmaplock';
import {
  AT_CLEAN, AT_LAZYFREE, AT_MERGE_PROTECT, AT_MIGRATE, AT_MISPLACED, AT_MOVE, AT_POISON, AT_PROTECT, AT_RECLAIM_REDIRTIED, AT_RECLAIM_UNUSED, AT_REPLACE, AT_SHARE,
  AT_UNMAP, AT_UNMAP_DIRTY, AT_UNTRACK, CAUSE_FREE, CAUSE_LOCK, CAUSE_NOTIFIER, CAUSE_RMAP, COST_FREE, COST_LOCK, COST_PUT, COST_RANGE_END,
  COST_RANGE_START, COST_UNLOCK, OCCASIONS, SET_CEILING, SET_CHANGE_PTE, SET_GATHER, SET_IDEAL, SET_IF_PRESENT, SET_PAGES, SET_STEPWISE, SET_TABLES, STEP_AGAIN,
  STEP_CHANGE_PTE, STEP_CONSUMER, STEP_CPU_DEFER, STEP_CPU_FLUSH, STEP_CPU_PENDING, STEP_CPU_RANGE, STEP_END, STEP_FREE, STEP_LOCK, STEP_LOOP, STEP_PUT, STEP_PUT_CALLER, STEP_RANGE_END,
  STEP_RANGE_START, STEP_READ, STEP_SECONDARY, STEP_SECONDARY_ALL, STEP_SECONDARY_END, STEP_SECONDARY_PENDING, STEP_SECONDARY_TABLES, STEP_UNLOCK, STEP_WHEN_FULL, STEP_ZAP, AT_COLLAPSE, AT_COLLECT, AT_EXIT,
  AT_POOL_COW, AT_POOL_PROTECT, AT_SPLIT, AT_SPLIT_FILE, CAUSE_PAGE_COPY, COST_PAGE_COPY, STEP_FREE_TABLES, STEP_RELEASE, STEP_SET_CACHE,
} from './ops';
import { releaseSpace } from './pasid';
import { oblige, OWES_DIRTY, OWES_NOTHING, OWES_PERMISSION, setAsked } from './safety';
import { FLUSH_ALL, FLUSH_CHANGED, FLUSH_RANGE, deferFlush, flushDeferred, initShootdown, isDeferred, shootDown } from './shootdown';
import { cpuCount, markFreed } from './space';
import { Submission } from './submission';
import { beginSubmission, stepSubmission } from './submit';
import { PTE_P, firstTable, pte, tableAt, tableOfPage, touched, vpnOf } from './table';

const RUN_BYTES: usize = offsetof<Run>();

/** Parts of the list of an occasion: what is done per page of a batch, once per batch, and per page at its end. */
export const PART_BODY: u32 = 0;
export const PART_MIDDLE: u32 = 1;
export const PART_TAIL: u32 = 2;
const PARTS: u32 = 3;
/** Steps of one part, END included. */
export const LIST_WORDS: u32 = 64;

let runs: usize = 0; //  u32[agentCount]: address of the Run of an agent, 0 if it runs no lists
let lists: usize = 0; // u32[OCCASIONS * PARTS * LIST_WORDS], written by the host
let locks: usize = 0; // of leaf tables
let ideal: bool = false;
let stepwise: bool = false;

/** Room for the step lists of a policy. */
export function initLists(): void {
  lists = region(<usize>OCCASIONS * PARTS * LIST_WORDS << 2);
}
/** Agents `first` .. `end` - 1 run no lists. */
export function initPaths(first: u32, end: u32): void {
  ideal = setting(SET_IDEAL) != 0;
  stepwise = setting(SET_STEPWISE) != 0;
  initShootdown();
  locks = newLocks(setting(SET_TABLES), 1, PAGE_TABLE_LOCK);
  runs = fixed(<usize>agentCount << 2);
  for (let id: u32 = 0; id < agentCount; id++) {
    if (id >= first && id < end) continue;
    store<u32>(runs + (<usize>id << 2), <u32>region(RUN_BYTES));
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
  return changetype<Run>(<usize>load<u32>(runs + (<usize>id << 2)));
}

/** A table has come in at a position while lists run: they stay at theirs. */
export function tableInserted(position: u32): void {
  for (let id: u32 = 0; id < cpuCount; id++) {
    const run = runOf(id);
    if (run.steps != 0 && hasRange(run) && run.position >= position) run.position++;
  }
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
  run.mmap = mmapOf(occasion);
  run.mmapHeld = run.mmapKept = run.everything = run.pended = 0;
  run.mode = run.oldFrame = run.newFrame = run.writable = run.expects = run.writes = run.inside = run.inHold = run.freed = 0;
  run.limit = run.held = run.full = run.whenFull = 0;
  run.holdFrom = 0;
  run.part = part;
  run.occasion = occasion;
  run.began = who.clock;
  run.allFirst = run.holdFirst = u64.MAX_VALUE;
  run.allLast = run.holdLast = 0;
  if (part == PART_BODY) bump(N_PATH_COUNT + occasion);
  return run;
}

/** Faults, advice and KSM share mmap_lock, changes of mappings have it alone; who comes by rmap does without. */
function mmapOf(occasion: u32): u32 {
  if (occasion <= AT_RECLAIM_UNUSED || occasion == AT_CLEAN || occasion == AT_MIGRATE || occasion == AT_POISON) return MMAP_NONE;
  if (occasion == AT_SPLIT || occasion == AT_SPLIT_FILE) return MMAP_NONE;
  if (occasion >= AT_COLLAPSE && occasion != AT_POOL_COW && occasion != AT_MISPLACED) return MMAP_WRITE;
  const alone = occasion == AT_UNMAP || occasion == AT_UNMAP_DIRTY || occasion == AT_PROTECT || occasion == AT_MOVE || occasion == AT_SHARE;
  return alone || occasion == AT_UNTRACK || occasion == AT_REPLACE ? MMAP_WRITE : MMAP_READ;
}

/** One turn; returns whether the list is over. The agent may be blocked afterwards. */
export function stepPath(who: Agent): bool {
  const run = runOf(who.id);
  const before = who.clock;
  if (run.mmap != MMAP_NONE && run.mmapHeld == 0) {
    run.mmapHeld = 1; // a waiter wakes as an owner
    if (!takeMmap(run.mmap, who)) return false;
  }
  while (true) {
    const code = load<u32>(run.steps + (<usize>run.at << 2));
    const step = code % STEP_WHEN_FULL;
    run.whenFull = (code / STEP_WHEN_FULL) & 1;
    if (run.whenFull != 0 && run.full == 0 && step != STEP_LOOP) {
      run.at++;
      continue;
    }
    if (step == STEP_END) {
      finish(run, who);
      return true;
    }
    if (!(banks == 1 ? perform(run, who, step) : performFor(code / STEP_CONSUMER, run, who, step))) {
      // The first of two turns does nothing but take time.
      if (stepwise && isTwofold(step)) continue;
      return false;
    }
    run.at++;
    if (stepwise) {
      if (isShared(run, step)) return false;
      continue;
    }
    // Steps that take no time are done in the same turn; without locks, so is what a lock would hold together.
    if (who.clock != before && !(ideal && run.hold != 0)) return false;
  }
}

/** Whether others could tell at which moment a step was taken: of CPU_DEFER those who come by its page, which is locked. */
@inline
function isShared(run: Run, step: u32): bool {
  if (isNone(run, step)) return false;
  if (step == STEP_RANGE_START || step == STEP_RANGE_END) return seesRanges();
  return step != STEP_LOOP && step != STEP_AGAIN && step != STEP_CPU_DEFER && step != STEP_READ;
}

function finish(run: Run, who: Agent): void {
  const now = who.clock;
  note(LOG_STEP, who.id, STEP_END, run.occasion, hasRange(run) ? 0 : run.page + 1, now);
  // What moved to where no access goes is given back.
  if (run.occasion == AT_MOVE) free(run, who);
  // What was narrowed must be unusable when the program has its answer.
  if (hasRange(run)) {
    for (let i: u32 = 0; i < run.gathered; i++) {
      const page = rowPage(run, i);
      setAsked(page, 0);
      const flags = pte(page);
      const owes = owed(run.occasion);
      if (owes != OWES_NOTHING || (flags & PTE_P) == 0) oblige(page, now, owes, canReach(page));
    }
    if (isCall(run)) settlePages(run, who, owed(run.occasion));
  } else if (run.skip == 0 && owed(run.occasion) != OWES_NOTHING) {
    oblige(run.page, now, owed(run.occasion), canReach(run.page));
  }
  if (run.newFrame != 0) {
    // Somebody else was faster: what this fault brought is not needed.
    putFrame(run.newFrame);
    freeFrame(run.newFrame);
    run.newFrame = 0;
    framesFreed(who, now);
  }
  // Who has found the page at work waits for this.
  if (run.occasion == AT_MISPLACED) unlockPage(run);
  if (isWaitedFor(run.occasion)) framesFreed(who, now);
  if (run.part == PART_BODY) add(N_PATH_PAGES + run.occasion, hasRange(run) ? run.touched : 1);
  add(N_PATH_PS + run.occasion, who.clock - run.began);
  if (run.mmapHeld != 0 && run.mmapKept == 0) giveMmap(run.mmap, who);
  run.steps = 0;
}

/** Whether who faults meanwhile waits for the list's end. */
@inline
function isWaitedFor(occasion: u32): bool {
  return occasion == AT_MIGRATE || occasion == AT_COLLECT || occasion == AT_COLLAPSE || occasion == AT_MISPLACED;
}

/** Forgets what a list that is over has left behind: runs with the same future hold the same bytes. */
export function clearRun(id: u32): void {
  const run = runOf(id);
  const job = run.job;
  const gather = run.gather;
  memory.fill(gather, 0, <usize>run.gathered << 3);
  memory.fill(changetype<usize>(run), 0, RUN_BYTES);
  memory.fill(changetype<usize>(job), 0, offsetof<Submission>());
  run.job = job;
  run.gather = gather;
}

/** What is owed when a list is over that leaves its pages where they are. */
function owed(occasion: u32): u32 {
  if (occasion == AT_PROTECT || occasion == AT_POOL_PROTECT || occasion == AT_SHARE) return OWES_PERMISSION;
  const notes = occasion == AT_LAZYFREE || occasion == AT_UNTRACK || occasion == AT_CLEAN || occasion == AT_MERGE_PROTECT;
  return notes ? OWES_DIRTY : OWES_NOTHING;
}

/** A step with the consumer in hand that it is of. */
function performFor(consumer: u32, run: Run, who: Agent, step: u32): bool {
  const home = bank;
  select(consumer);
  if (run.phase == 0) run.stepBegan = who.clock;
  const done = perform(run, who, step);
  if (done && isCallback(step)) add(N_CALLBACK_PS, who.clock - run.stepBegan);
  select(home);
  return done;
}

/** Carries out one step; false if the agent must come back to it, blocked or in a second turn. */
function perform(run: Run, who: Agent, step: u32): bool {
  if (step == STEP_CPU_PENDING && run.phase == 0) run.pended = !ideal && isDeferred() ? 1 : 0;
  if (isNone(run, step)) return true;
  if (run.phase == 0 && step != STEP_READ) note(LOG_STEP, who.id, step, run.occasion, hasRange(run) ? 0 : run.page + 1, who.clock);
  switch (step) {
    case STEP_LOOP: {
      run.loop = run.at;
      run.limit = run.whenFull != 0 ? setting(SET_GATHER) : 0;
      if (hasRange(run) && !inRange(run)) skipLoop(run);
      else nextHold(run);
      return true;
    }
    case STEP_AGAIN: {
      if (!hasRange(run)) return true;
      endHold(run);
      if (!inRange(run)) return true;
      run.at = run.loop;
      nextHold(run);
      return true;
    }
    case STEP_RELEASE: {
      releaseSpace();
      return true;
    }
    case STEP_FREE_TABLES: {
      unlinkTables(run);
      freeTables(run);
      return true;
    }
    case STEP_READ: {
      readContent(run, who.clock);
      const copies: u32 = run.occasion == AT_COLLAPSE ? run.gathered - oldRows(run) : run.occasion == AT_MISPLACED && run.skip == 0 ? 1 : 0;
      if (copies != 0) spend(who, CAUSE_PAGE_COPY, cost(COST_PAGE_COPY) * copies);
      return true;
    }
    case STEP_RANGE_START: {
      if (ideal) return true;
      beginNotified(who, firstOf(run), lastOf(run));
      spend(who, CAUSE_NOTIFIER, cost(COST_RANGE_START));
      return true;
    }
    case STEP_RANGE_END: {
      if (ideal) return true;
      endRange(who);
      spend(who, CAUSE_NOTIFIER, cost(COST_RANGE_END));
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
    case STEP_CPU_DEFER: {
      if (run.skip == 0) deferFlush(); // and the batch's flush does it, whoever else has done so
      return true;
    }
    case STEP_CPU_PENDING: return flushDeferred(run, who);
    case STEP_CPU_RANGE: return ideal || rangeFlush(run, who);
    case STEP_SECONDARY: {
      if (hasNothing(run)) return true;
      if (run.inside == 0) return secondary(run, who, run.allFirst, run.allLast, false);
      const first = run.whenFull != 0 ? vpnOf(rowPage(run, run.held)) : run.holdFirst;
      return secondary(run, who, first, run.holdLast, false);
    }
    case STEP_SECONDARY_PENDING: return !isBound(run.first) || whole(run, who);
    case STEP_SECONDARY_ALL: return (hasNothing(run) && run.occasion != AT_EXIT) || !isBound(run.allFirst) || whole(run, who);
    case STEP_SECONDARY_TABLES: return secondary(run, who, run.allFirst, run.allLast, false);
    // range_start and range_end know nothing of what is found under the lock.
    case STEP_ZAP:
    case STEP_SECONDARY_END: return secondary(run, who, firstOf(run), lastOf(run), false);
    case STEP_CHANGE_PTE: return run.skip != 0 || setting(SET_CHANGE_PTE) == 0 || secondary(run, who, run.first, run.first, false);
    case STEP_PUT: {
      if (run.skip != 0) return true;
      putFrame(run.oldFrame);
      if (!callerHolds()) free(run, who);
      spend(who, CAUSE_RMAP, cost(COST_PUT));
      return true;
    }
    case STEP_PUT_CALLER: {
      if (callerHolds()) putFrame(run.oldFrame);
      // Nobody else gives a frame back that is no longer this list's.
      if (run.skip != 0 || run.occasion == AT_RECLAIM_REDIRTIED) free(run, who);
      spend(who, CAUSE_RMAP, cost(COST_PUT));
      return true;
    }
    case STEP_FREE: {
      unlinkTables(run);
      free(run, who);
      freeTables(run);
      return true;
    }
    default: {
      changePages(run, who, step);
      if (step == STEP_SET_CACHE) unlinkTables(run);
      return true;
    }
  }
}

/** What a device writes to the page from here on is lost. Of the one flush of a batch, reclaim knows the pages. */
function readContent(run: Run, now: u64): void {
  if (run.skip != 0 || run.part == PART_MIDDLE) return;
  if (!hasRange(run)) oblige(run.page, now, OWES_DIRTY, canReach(run.page));
  for (let i: u32 = 0; i < run.gathered; i++) oblige(rowPage(run, i), now, OWES_DIRTY, canReach(rowPage(run, i)));
}

function skipLoop(run: Run): void {
  while (load<u32>(run.steps + (<usize>run.at << 2)) != STEP_AGAIN) run.at++;
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

function whole(run: Run, who: Agent): bool {
  return secondary(run, who, 0, u64.MAX_VALUE, true);
}
function secondary(run: Run, who: Agent, first: u64, last: u64, whole: bool): bool {
  if (ideal || first > last || (!whole && !isBound(first))) return true;
  if (run.phase == 0) {
    run.phase = 1;
    bump(N_PATH_SECONDARY + run.occasion);
    moveOn(first, last, who.clock);
    if (setting(SET_IF_PRESENT) != 0 && !mapsAny(first, last)) {
      bump(N_SECONDARY);
      bump(N_SKIPPED);
      run.phase = 0;
      return true;
    }
    beginSubmission(run.job, first, last, whole);
    run.job.frees = run.freed;
    run.job.overflows = run.everything != 0 && !whole && first == run.first && last == run.end - 1 ? 1 : 0;
    if (run.occasion == AT_LAZYFREE && hazard(HAZARD_CLEAN_KEEPS_DEVICE_TLB)) run.job.spares = 1;
  }
  if (!stepSubmission(run.job, who)) return false;
  run.phase = 0;
  return true;
}

/** CPUs that use the space, other than this one, flush by IPI; the flush is over when all have answered. */
function cpuFlush(run: Run, who: Agent): bool {
  if (run.phase == 0) unlinkTables(run);
  const pages = hasRange(run) ? run.gathered - oldRows(run) : hasNothing(run) ? 0 : max<u32>(1, run.touched);
  if (pages == 0) return true;
  return shootDown(run, who, pages, run.part == PART_MIDDLE || pages > setting(SET_CEILING) ? FLUSH_ALL : FLUSH_CHANGED);
}
/** The same of the range, or the one page, that the list is for, whatever it has changed. */
function rangeFlush(run: Run, who: Agent): bool {
  if (firstOf(run) > lastOf(run)) return true;
  const pages = lastOf(run) - firstOf(run) + 1;
  return pages > setting(SET_CEILING) ? shootDown(run, who, 0, FLUSH_ALL) : shootDown(run, who, <u32>pages, FLUSH_RANGE);
}

/** Gives back what the run has gathered, or its one frame. */
function free(run: Run, who: Agent): void {
  const now = who.clock;
  let freed: u64 = 0;
  if (!hasRange(run)) freed = freeOne(run.page, run.oldFrame, who);
  for (let i: u32 = 0; i < run.gathered; i++) {
    const at = run.gather + (<usize>i << 3);
    const frame = load<u32>(at, 4);
    if (frame == 0) continue;
    store<u32>(at, 0, 4);
    putFrame(frame);
    freed += freeOne(load<u32>(at), frame, who);
  }
  if (freed == 0) return;
  framesFreed(who, now);
  spend(who, CAUSE_FREE, cost(COST_FREE) * freed);
}
/** Gives back a frame that `page` mapped, unless somebody has a reference. Returns how many that were. */
export function freeOne(page: u32, frame: u32, who: Agent): u64 {
  if (!freeFrame(frame)) return 0;
  const now = who.clock;
  note(LOG_FREE, who.id, frame, 0, page + 1, now);
  oblige(page, now, OWES_NOTHING, canReach(page));
  markFreed(frame);
  return 1;
}


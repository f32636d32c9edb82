// The reclaim agent: second chance over frames, batches, the lists of a policy. It sleeps while there are frames enough.
import { Agent, block, spend } from './clock';
import { canReach } from './consumers';
import { bump, N_RECLAIMED } from './counters';
import { callerHolds, frameCount, framesFreed, freeFrames, getFrame, pageOf } from './frame';
import { cost, region, setting } from './layout';
import {
  AT_RECLAIM_FILE, AT_RECLAIM_LAZYFREE, AT_RECLAIM_MISMATCH, AT_RECLAIM_REDIRTIED, AT_RECLAIM_SWAP, AT_RECLAIM_UNUSED, CAUSE_IDLE, CAUSE_RECLAIM, COST_ISOLATE, KIND_POOL,
  SET_BATCH, SET_HIGH,
} from './ops';
import { Run } from './execution';
import { beginPage, PART_BODY, PART_MIDDLE, PART_TAIL, runOf, stepPath } from './path';
import { oblige, OWES_DIRTY } from './safety';
import {
  frameOf, kindOf, pte, PTE_BUSY, PTE_CACHE, PTE_D, PTE_LAZY, PTE_LOCKED, PTE_MISMATCH, PTE_P, PTE_UNUSED, setPte, touched, vpnOf,
} from './table';

// Phases of the agent.
const LOOK: u32 = 0; //    at rest, or about to choose a batch
const BODY: u32 = 1; //    a list runs, page by page
const MIDDLE: u32 = 2; //  once for the batch
const TAIL: u32 = 3; //    page by page

/** Frame pages looked at for one isolated page, at most: after two rounds everything is taken. */
const ROUNDS: u32 = 2;

let batch: usize = 0; // u32[4 * SET_BATCH]: page, frame, occasion, changed
let size: usize = 0; //  u32 pages in the batch, u32 index of the one in hand, u32 clock hand

export function initReclaim(): void {
  batch = region(<usize>setting(SET_BATCH) << 4);
  size = region(16);
}
@inline
function count(): u32 {
  return load<u32>(size);
}
@inline
function current(): u32 {
  return load<u32>(size, 4);
}
@inline
function row(index: u32): usize {
  return batch + (<usize>index << 4);
}

/** One turn. */
export function stepReclaim(who: Agent): void {
  if (who.phase == LOOK) {
    if (freeFrames() >= setting(SET_HIGH) || !isolate(who)) {
      block(who, CAUSE_IDLE);
      return;
    }
    who.phase = BODY;
    store<u32>(size, 0, 4);
    begin(who, PART_BODY);
    return;
  }
  if (!stepPath(who)) return;
  const run = runOf(who.id);
  if (who.phase == BODY) {
    store<u32>(row(current()), run.skip == 0 ? 1 : 0, 12);
    if (next(who, PART_BODY)) return;
    who.phase = MIDDLE;
    spanBatch(begin(who, PART_MIDDLE));
    return;
  }
  if (who.phase == MIDDLE) {
    who.phase = TAIL;
    readContents(who);
    begin(who, PART_TAIL);
    return;
  }
  settle(who);
  if (next(who, PART_TAIL)) return;
  framesFreed(who, who.clock);
  who.phase = LOOK;
}

/** The list of the page in hand; of the middle, the batch's first page stands for all. */
function begin(who: Agent, part: u32): Run {
  const at = row(current());
  const run = beginPage(who, load<u32>(at, 8), part, load<u32>(at));
  run.oldFrame = load<u32>(at, 4);
  if (part != PART_TAIL) return run;
  if (load<u32>(at, 12) == 0) run.skip = 1;
  else reach(run, run.page);
  return run;
}
/** What is done once for the batch is done for all pages that have changed. */
function spanBatch(run: Run): void {
  for (let i: u32 = 0; i < count(); i++) if (load<u32>(row(i), 12) != 0) reach(run, load<u32>(row(i)));
  if (run.touched == 0) return;
  run.first = run.allFirst;
  run.end = run.allLast + 1;
}
/** What goes to swap has been written out: a device's write from here on would be lost. */
function readContents(who: Agent): void {
  for (let i: u32 = 0; i < count(); i++) {
    const swapped = load<u32>(row(i), 8) == AT_RECLAIM_SWAP && load<u32>(row(i), 12) != 0;
    if (swapped) oblige(load<u32>(row(i)), who.clock, OWES_DIRTY, canReach(load<u32>(row(i))));
  }
}
function reach(run: Run, page: u32): void {
  run.touched = 1;
  run.allFirst = min(run.allFirst, vpnOf(page));
  run.allLast = max(run.allLast, vpnOf(page));
}
function next(who: Agent, part: u32): bool {
  const index = current() + 1;
  store<u32>(size, index == count() ? 0 : index, 4);
  if (index == count()) return false;
  begin(who, part);
  return true;
}

/** The page in hand is out: who waits for it may go on. */
function settle(who: Agent): void {
  const at = row(current());
  if (load<u32>(at, 12) == 0) return;
  const page = load<u32>(at);
  const occasion = load<u32>(at, 8);
  if (occasion == AT_RECLAIM_REDIRTIED || occasion == AT_RECLAIM_MISMATCH) return;
  bump(N_RECLAIMED);
  const flags = pte(page);
  if ((flags & PTE_BUSY) == 0) return;
  setPte(page, flags & ~PTE_BUSY);
}

/** Begins a batch of `pages` pages from `first` on, those that are mapped. Returns whether there is any. */
export function reclaimPages(who: Agent, first: u32, pages: u32): bool {
  let taken: u32 = 0;
  for (let page = first; page < first + pages; page++) if ((pte(page) & (PTE_P | PTE_LOCKED)) == PTE_P) hold(page, taken++);
  store<u32>(size, taken);
  store<u32>(size, 0, 4);
  if (taken == 0) return false;
  who.phase = BODY;
  begin(who, PART_BODY);
  return true;
}
/** The page is isolated: a row of the batch, and a reference. */
function hold(page: u32, index: u32): void {
  const at = row(index);
  if (callerHolds()) getFrame(frameOf(page));
  store<u32>(at, page);
  store<u32>(at, frameOf(page), 4);
  store<u32>(at, occasionOf(pte(page)), 8);
  store<u32>(at, 0, 12);
}

/** Fills the batch by second chance. Returns whether there is anything to take. */
function isolate(who: Agent): bool {
  const most = setting(SET_BATCH);
  let taken: u32 = 0;
  let hand = load<u32>(size, 8);
  for (let looked: u32 = 0; taken < most && looked < frameCount * ROUNDS; looked++) {
    hand = hand == frameCount ? 1 : hand + 1;
    const owner = pageOf(hand);
    if (owner == 0) continue;
    const page = owner - 1;
    const flags = pte(page);
    if ((flags & (PTE_P | PTE_LOCKED)) != PTE_P || frameOf(page) != hand || kindOf(page) == KIND_POOL) continue;
    // Use, not the A bit: that is set by walks alone, so which pages go would hang on how often a policy flushes TLBs.
    if (load<u8>(touched + page) != 0) {
      store<u8>(touched + page, 0);
      continue;
    }
    if (isIn(page, taken)) continue;
    hold(page, taken++);
  }
  store<u32>(size, hand, 8);
  store<u32>(size, taken);
  spend(who, CAUSE_RECLAIM, cost(COST_ISOLATE) * taken);
  return taken != 0;
}
function isIn(page: u32, taken: u32): bool {
  for (let i: u32 = 0; i < taken; i++) if (load<u32>(row(i)) == page) return true;
  return false;
}
/** Forgets a batch that is over: its rows say nothing of what comes. */
export function clearBatch(): void {
  memory.fill(batch, 0, <usize>count() << 4);
  store<u32>(size, 0);
}
function occasionOf(flags: u32): u32 {
  if ((flags & PTE_MISMATCH) != 0) return AT_RECLAIM_MISMATCH;
  if ((flags & PTE_UNUSED) != 0) return AT_RECLAIM_UNUSED;
  if ((flags & PTE_LAZY) != 0) return (flags & PTE_D) != 0 ? AT_RECLAIM_REDIRTIED : AT_RECLAIM_LAZYFREE;
  return (flags & PTE_CACHE) != 0 ? AT_RECLAIM_FILE : AT_RECLAIM_SWAP;
}

// Page faults, of CPUs and of devices: what a page needs, a frame for it, and the list that installs it.
import { Agent, agent, BLOCKED, spend, wake } from './clock';
import { bump, N_FAULTS, N_SWAP_INS } from './counters';
import { isUsedElsewhere } from './fork';
import { allocFrame, anyoneWaits, awaitFrames, callerHolds, freeFrames, getFrame } from './frame';
import { cost, setting } from './layout';
import { LOG_FAULT, MODE_COPY, note } from './log';
import {
  AT_COW, AT_FAULT, AT_HUGE_COW, AT_POOL_COW, CAUSE_FAULT, CAUSE_IDLE, CAUSE_PAGE_COPY, CAUSE_PAGE_IO, COST_FAULT, COST_FILE_IN,
  COST_PAGE_COPY, COST_PAGE_ZERO, COST_SWAP_IN, KIND_FILE, KIND_GONE, KIND_HUGE, KIND_POOL, KIND_SHARED, KIND_UNKNOWN, SET_LOW, SET_RECLAIM,
} from './ops';
import { MODE_BACK, MODE_FRAME, MODE_REUSE, MODE_ZERO, Run } from './execution';
import { beginPage, PART_BODY, stepPath } from './path';
import { isReleased } from './pasid';
import { goIdle } from './shootdown';
import {
  frameOf, isInReach, isReadOnly, kindOf, pte, PTE_A, PTE_AWAY, PTE_BUSY, PTE_CACHE, PTE_D, PTE_LOCKED, PTE_MERGED, PTE_P, PTE_SEEN, PTE_SHARED, PTE_SWP, PTE_W,
  PTE_ZERO, setKind,
} from './table';

let reclaimer: u32 = 0; // agent, where there is one

export function initFaults(reclaimAgent: u32): void {
  reclaimer = reclaimAgent;
}

/** Whether a device may use the page as it is. */
export function allowed(page: u32, write: bool): bool {
  const flags = pte(page);
  return isInReach(flags) && (!write || (flags & PTE_W) != 0);
}
/** The program has unmapped the page, or may not write it itself: a page request is answered with `invalid`. */
export function forbidden(page: u32, write: bool): bool {
  return isReleased() || kindOf(page) == KIND_GONE || (write && isReadOnly(page));
}

/** Whether a write needs a copy of what the page maps. */
function mustCopy(page: u32, flags: u32, kind: u32): bool {
  if ((flags & PTE_SHARED) != 0 && isUsedElsewhere(page, frameOf(page))) return true;
  return (flags & (PTE_ZERO | PTE_MERGED)) != 0 || ((flags & PTE_CACHE) != 0 && kind != KIND_SHARED);
}

/** Blocks until frames are freed, or reclaim is done with its batch; the agent then looks again. */
export function waitForFrames(who: Agent): void {
  awaitFrames(who);
  wakeReclaim(who.clock);
}
function wakeReclaim(now: u64): void {
  if (setting(SET_RECLAIM) == 0) return;
  const kswapd = agent(reclaimer);
  if (kswapd.state == BLOCKED && kswapd.waitsFor == CAUSE_IDLE) wake(kswapd, now);
}

/** One turn of a list; returns whether it is over. Who waits for frames may find one in what the list has installed. */
export function stepList(who: Agent): bool {
  if (!stepPath(who)) return false;
  if (anyoneWaits()) wakeReclaim(who.clock);
  return true;
}

/**
 * Begins the fault of an agent on a page that it may not use as it is. Returns false if the agent had to wait: it then
 * translates again. On true a list runs, and the agent translates again when it is over.
 */
export function beginFault(who: Agent, page: u32, write: bool): bool {
  const flags = pte(page);
  if ((flags & (PTE_BUSY | PTE_LOCKED)) != 0) {
    waitForFrames(who);
    return false;
  }
  if (kindOf(page) == KIND_GONE) setKind(page, KIND_UNKNOWN);
  const kind = kindOf(page);
  const file = kind == KIND_FILE || kind == KIND_SHARED;
  const present = (flags & PTE_P) != 0;
  const back = (flags & PTE_AWAY) != 0;
  const cow = present && write && !back && mustCopy(page, flags, kind);
  const reuse = present && !cow && !back;
  const zero = !present && !write && kind != KIND_POOL && !file && (flags & PTE_SWP) == 0;
  const needsFrame = !reuse && !zero && !back;
  if (needsFrame && freeFrames() == 0) {
    waitForFrames(who);
    return false;
  }
  bump(N_FAULTS);
  const run = beginPage(who, !cow ? AT_FAULT : kind == KIND_POOL ? AT_POOL_COW : kind == KIND_HUGE ? AT_HUGE_COW : AT_COW, PART_BODY, page);
  run.expects = flags & ~(PTE_A | PTE_D);
  run.writes = write ? 1 : 0;
  if (present) run.oldFrame = frameOf(page);
  run.mode = back ? MODE_BACK : reuse ? MODE_REUSE : zero ? MODE_ZERO : MODE_FRAME;
  note(LOG_FAULT, who.id, cow ? MODE_COPY : run.mode, run.writes, page + 1, who.clock);
  spend(who, CAUSE_FAULT, cost(COST_FAULT));
  if (!needsFrame) return true;
  take(run, page, who);
  if (cow && callerHolds()) getFrame(run.oldFrame); // the faulting thread's own
  const cached = file && !(write && kind == KIND_FILE);
  run.writable = (write ? PTE_W | PTE_D : 0) | (cached && !cow ? PTE_CACHE : 0);
  payForContent(who, flags, file, cow);
  return true;
}

/** A frame for what the list will install; there must be one. */
export function take(run: Run, page: u32, who: Agent): void {
  run.newFrame = allocFrame(page);
  if (freeFrames() < setting(SET_LOW)) wakeReclaim(who.clock);
}

function payForContent(who: Agent, flags: u32, file: bool, cow: bool): void {
  if (cow) spend(who, CAUSE_PAGE_COPY, cost(COST_PAGE_COPY));
  else if ((flags & PTE_SWP) != 0) {
    bump(N_SWAP_INS);
    spend(who, CAUSE_PAGE_IO, cost(COST_SWAP_IN));
    goIdle(who);
  } else if (file && (flags & PTE_SEEN) != 0) {
    spend(who, CAUSE_PAGE_IO, cost(COST_FILE_IN));
    goIdle(who);
  } else if (!file) spend(who, CAUSE_PAGE_COPY, cost(COST_PAGE_ZERO));
}

// What a step of a list does to PTEs: cleared, set, moved; and what of it the rest of the list will need.
import { Agent, spend } from './clock';
import { canReach } from './consumers';
import { N_UNMAPPED, bump, first } from './counters';
import { Run, isCall, isFault, isOwnAccount, MODE_BACK, MODE_FRAME, MODE_ZERO, MODE_REUSE, hasRange, rowPage } from './execution';
import { isUsedElsewhere, share } from './fork';
import { allocFrame, freeFrames, pageOf, refsOf, setPageOf } from './frame';
import { cost, setting } from './layout';
import {
  AT_CLEAN, AT_COLLAPSE, AT_EXIT, AT_FAULT, AT_HINT, AT_LAZYFREE, AT_MERGE, AT_MISPLACED, AT_POOL_PROTECT, AT_PROTECT, AT_RECLAIM_LAZYFREE, AT_SHARE, AT_SPLIT, AT_SPLIT_FILE, AT_UNSHARE, AT_UNMAP, AT_UNMAP_DIRTY, AT_UNTRACK, CAUSE_PTE, CAUSE_RMAP, COST_PTE_CLEAR,
  COST_PTE_SET, COST_RMAP, KIND_GONE, KIND_POOL, SET_LOW, STEP_CLEAR, STEP_SET_CACHE, STEP_SET_NUMA, STEP_REMOVE_RMAP, STEP_SET_CLEAN, STEP_SET_MIGRATION, STEP_SET_MOVED, STEP_SET_NEW,
  STEP_SET_NONE, STEP_SET_OLD, STEP_SET_POISON, STEP_SET_READONLY, STEP_SET_SWAP,
} from './ops';
import { noteUnmapped } from './recent';
import { countEmpty, forgetUser, noteCall, oblige, openWindows, setAsked, settleCall, staleCpuEntries } from './safety';
import { recheck } from './space';
import {
  PTE_A, PTE_AWAY, PTE_BUSY, PTE_CACHE, PTE_D, PTE_LAZY, PTE_LOCKED, PTE_MERGED, PTE_MISMATCH, PTE_P, PTE_POISON, PTE_SEEN, PTE_SHARED, PTE_SWP, PTE_UNUSED, PTE_W, PTE_ZERO, TABLE_LG2, frameOf, isInReach,
  firstTable, isReadOnly, keyAt, kindOf, pageAt, pageIn, pte, setEntry, setKind, setPte, setReadOnly, tableAt, tableCount, touched, vpnOf,
} from './table';

/** A step on PTEs or rmap: on the run's page, or on every page of this hold. */
export function changePages(run: Run, who: Agent, step: u32): void {
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
  const start = max(run.first, run.holdFrom);
  const from = start > base ? <u32>(start - base) : 0;
  const to = min<u64>(min(run.end, run.holdTo) - base, 1 << TABLE_LG2);
  for (let slot = from; slot < <u32>to; slot++) {
    const page = pageIn(table, slot);
    if (page != 0) changePage(run, who, step, page - 1, now);
    if (step != STEP_CLEAR || run.limit == 0 || run.full != 0 || run.gathered - run.held < run.limit) continue;
    run.full = 1;
    run.holdTo = base + slot + 1;
    break;
  }
}

/** A call of the program returns: obligations of what it has come by, whether it has changed it or found it gone. */
export function settlePages(run: Run, who: Agent, owes: u32): void {
  if (openWindows() == 0 && staleCpuEntries() == 0) return;
  for (let at = firstTable(run.first); at < tableCount && keyAt(at) <= (run.end - 1) >> TABLE_LG2; at++) {
    const base = keyAt(at) << TABLE_LG2;
    for (let slot: u32 = 0; slot < 1 << TABLE_LG2; slot++) {
      const page = pageIn(tableAt(at), slot);
      if (page == 0 || base + slot < run.first || base + slot >= run.end) continue;
      if (settleCall(page - 1, who.id, owes)) oblige(page - 1, who.clock, owes, canReach(page - 1));
    }
  }
}

/** The effect is at `now`, when the step began, on all pages; the time is spent afterwards. */
function changePage(run: Run, who: Agent, step: u32, page: u32, now: u64): void {
  const flags = pte(page);
  switch (step) {
    case STEP_CLEAR: {
      clear(run, who, page, flags, now);
      if (isCall(run) && (pte(page) & PTE_P) == 0) noteCall(page, who.id);
      break;
    }
    case STEP_REMOVE_RMAP: {
      if (!gatheredNow(run, page)) break;
      const frame = hasRange(run) ? frameOf(page) : run.oldFrame;
      if (pageOf(frame) == page + 1) setPageOf(frame, 0); // it may be the other's by rmap
      spend(who, CAUSE_RMAP, cost(COST_RMAP));
      break;
    }
    default: {
      if (run.occasion == AT_PROTECT || run.occasion == AT_POOL_PROTECT) setReadOnly(page, run.writable != 0 ? 0 : 1);
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
  if ((run.occasion == AT_PROTECT || run.occasion == AT_POOL_PROTECT) && (run.writable != 0 || (flags & PTE_W) == 0)) return;
  if (run.occasion == AT_LAZYFREE && ((flags & (PTE_ZERO | PTE_CACHE | PTE_SHARED | PTE_MERGED)) != 0 || kindOf(page) == KIND_POOL)) return;
  if (run.occasion >= AT_HINT && hasRange(run) && isSpared(run.occasion, page, flags)) return;
  if (run.occasion == AT_UNTRACK && (flags & PTE_W) == 0) return;
  if (run.occasion == AT_SHARE) {
    if ((flags & (PTE_ZERO | PTE_CACHE)) != 0) return;
    share(page);
    flags |= PTE_SHARED;
    setPte(page, flags);
    if ((flags & PTE_W) == 0) return;
  }
  setPte(page, flags & ~PTE_P);
  spend(who, CAUSE_PTE, cost(COST_PTE_CLEAR));
  recheck(page, now);
  countEmpty(page);
  forgetUser(page);
  changed(run, page);
  // Where its copy goes is there before anything is changed.
  if (run.occasion == AT_COLLAPSE) setRowFrame(gatherRow(run, page), allocFrame(page));
}
/** Whether the occasion, of the kernel's own account, has nothing to do with the page. */
function isSpared(occasion: u32, page: u32, flags: u32): bool {
  const cached = (flags & PTE_CACHE) != 0;
  if (occasion == AT_SPLIT_FILE || occasion == AT_UNSHARE) return (flags & PTE_AWAY) != 0 || (occasion == AT_SPLIT_FILE && !cached);
  if (!isOwnAccount(occasion)) return false;
  if (kindOf(page) == KIND_POOL) return true;
  if (occasion == AT_SPLIT) return cached;
  if (occasion == AT_HINT) return (flags & (PTE_AWAY | PTE_ZERO | PTE_SHARED)) != 0;
  const other = PTE_ZERO | PTE_CACHE | PTE_SHARED | PTE_MERGED | PTE_LAZY | PTE_MISMATCH | PTE_UNUSED;
  return (flags & other) != 0 || refsOf(frameOf(page)) != 1 || freeFrames() <= setting(SET_LOW);
}
@inline
function setRowFrame(row: usize, frame: u32): void {
  store<u32>(row, frame, 4);
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
  if (!isOwnAccount(run.occasion)) setAsked(page, 1);
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
      if (run.occasion == AT_FAULT || run.touched != 0) break; // a range has cleared what it installs
      // Replaced without a clear before.
      recheck(page, now);
      countEmpty(page);
      changed(run, page);
      break;
    }
    case STEP_SET_READONLY: {
      setPte(page, (flags | PTE_P) & ~(run.occasion == AT_CLEAN ? PTE_W | PTE_D : PTE_W));
      break;
    }
    case STEP_SET_MIGRATION: {
      setPte(page, PTE_BUSY);
      break;
    }
    case STEP_SET_POISON: {
      setPte(page, PTE_POISON | PTE_SEEN);
      unmapped(page);
      break;
    }
    case STEP_SET_CLEAN: {
      setPte(page, ((flags | PTE_P | PTE_LAZY) & ~(PTE_A | PTE_D)));
      break;
    }
    case STEP_SET_NUMA:
    case STEP_SET_CACHE: {
      setPte(page, flags | PTE_P | PTE_AWAY);
      break;
    }
    case STEP_SET_OLD: {
      setPte(page, (flags | PTE_P) & ~(hasRange(run) ? 0 : PTE_LAZY));
      break;
    }
    case STEP_SET_MOVED: {
      move(run, page, flags, now);
      break;
    }
  }
  // Copies of a page that was out of reach, and is, stay what they are.
  if (isInReach(flags) || isInReach(pte(page))) recheck(page, now);
}

/** A fault's PTE. */
function install(run: Run, page: u32, flags: u32): void {
  if (hasRange(run)) {
    installRow(gatherRow(run, page), page);
    return;
  }
  if (run.mode == MODE_BACK) {
    setPte(page, (flags | PTE_A) & ~PTE_AWAY);
    if ((flags & PTE_ZERO) == 0) setPageOf(frameOf(page), page + 1);
    return;
  }
  if (run.mode == MODE_REUSE) {
    setPte(page, (flags | PTE_W | PTE_D | PTE_A) & ~PTE_SHARED);
    return;
  }
  setEntry(page, PTE_P | PTE_A | run.writable | (run.mode == MODE_ZERO ? PTE_ZERO : 0), run.newFrame);
  if (run.mode == MODE_FRAME) setPageOf(run.newFrame, page + 1);
  forgetUser(page);
  run.newFrame = 0;
}

/** The copy of a page that has been cleared takes its place; the gather has the old frame then. */
function installRow(row: usize, page: u32): void {
  const copy = load<u32>(row, 4);
  const old = frameOf(page);
  setRowFrame(row, old);
  setEntry(page, PTE_P | PTE_A | PTE_D | (isReadOnly(page) ? 0 : PTE_W), copy != 0 ? copy : old);
  if (copy == 0) setRowFrame(row, 0); // it has been given back before its time: nothing has moved
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
  if (run.occasion == AT_UNMAP || run.occasion == AT_UNMAP_DIRTY || run.occasion == AT_EXIT) setKind(page, KIND_GONE);
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
  const moved = (flags & ~(PTE_BUSY | PTE_LOCKED)) | (row != 0 ? PTE_P : 0);
  if (row == 0) setPte(target, moved);
  else {
    setEntry(target, moved, frameOf(page));
    if ((flags & PTE_ZERO) == 0) setPageOf(frameOf(page), to);
    forgetUser(target);
  }
  recheck(target, now); // somebody may have faulted there since the unmap
}

/** Under the lock: is the PTE still what made this run begin? */
export function check(run: Run): void {
  if (hasRange(run) || run.touched != 0) return;
  const page = run.page;
  const flags = pte(page);
  const present = (flags & PTE_P) != 0;
  let good = !present || frameOf(page) == run.oldFrame;
  if (isFault(run)) {
    // As pte_same() does; the range may be gone or read-only by now, too.
    if ((flags & ~(PTE_A | PTE_D)) != run.expects || kindOf(page) == KIND_GONE) good = false;
    if (run.writes != 0 && isReadOnly(page)) good = false;
    // A child may have come since.
    if (run.mode == MODE_REUSE && (flags & PTE_SHARED) != 0 && isUsedElsewhere(page, run.oldFrame)) good = false;
  } else if (run.occasion == AT_MISPLACED) good = good && run.skip == 0 && (flags & ~(PTE_A | PTE_D)) == run.expects; // what was not copied is not replaced
  else if (run.occasion == AT_MERGE && (flags & PTE_W) != 0) good = false;
  else if (!present || (run.occasion == AT_RECLAIM_LAZYFREE && (flags & PTE_D) != 0)) good = false;
  run.skip = good ? 0 : 1;
}

/** What is still the page that was copied is let go. */
export function unlockPage(run: Run): void {
  if (frameOf(run.page) == run.oldFrame) setPte(run.page, pte(run.page) & ~PTE_LOCKED);
}

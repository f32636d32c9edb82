// A step list being run by an agent: where it is, and what it has found so far.
import { first } from './counters';
import {
  AT_COLLAPSE, AT_COW, AT_FAULT, AT_HINT, AT_HUGE_COW, AT_POOL_COW, AT_UNSHARE, STEP_CHANGE_PTE, STEP_CPU_FLUSH, STEP_CPU_PENDING, STEP_CPU_RANGE,
  STEP_RANGE_END, STEP_RANGE_START, STEP_SECONDARY, STEP_SECONDARY_ALL, STEP_SECONDARY_END, STEP_SECONDARY_PENDING, STEP_SECONDARY_TABLES, STEP_UNLOCK,
  STEP_ZAP,
} from './ops';
import { Submission } from './submission';
import { keyAt, TABLE_LG2, tableCount, touched } from './table';

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
  freed: u32; //      leaf tables that it frees
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
  asked: u64; //      CPUs that a flush under way has interrupted, a bit each
  generation: u32; // of that flush
  stepBegan: u64; //  of several consumers: clock at which the callback in hand began
  mmap: u32; //       MMAP_*: how it takes mmap_lock, and
  mmapHeld: u32; //   1: it has it
  mmapKept: u32; //   1: it leaves it to the list behind it
  everything: u32; // 1: it is told to be of 0..~0, whatever there is
  limit: u32; //      pages that the gather has room for; 0: the list does not ask
  held: u32; //       rows before those that are in the gather
  full: u32; //       1: this hold has filled it, and ends with page number holdTo - 1
  whenFull: u32; //   1: the step in hand is for that
  holdFrom: u64; //   page number that this hold begins with, if it is not the table's first
  holdTo: u64;
  pended: u32; //     1: its last CPU_PENDING has found something to flush
  job: Submission; // the invalidation under way
}

/** What a fault installs. */
export const MODE_FRAME: u32 = 0; // a frame of its own
export const MODE_ZERO: u32 = 1; //  the shared zero page, read-only
export const MODE_REUSE: u32 = 2; // the frame it has, writable now
export const MODE_BACK: u32 = 4; //  the frame it has, in reach again (3 is MODE_COPY of the log)

/** Whether the list is of a range, and so has one hold after the other. */
@inline
export function hasRange(run: Run): bool {
  return run.position != u32.MAX_VALUE;
}
/** Whether the list is of a fault, which begins with what it finds of the PTE. */
@inline
export function isFault(run: Run): bool {
  return run.occasion == AT_FAULT || run.occasion == AT_COW || run.occasion == AT_HUGE_COW || run.occasion == AT_POOL_COW;
}
/** Whether there is no page that a flush could be for. */
@inline
export function hasNothing(run: Run): bool {
  return run.skip != 0 || run.allFirst > run.allLast;
}
/** A step of a consumer's: it is called back. */
export function isCallback(step: u32): bool {
  if (step == STEP_RANGE_START || step == STEP_RANGE_END || step == STEP_ZAP || step == STEP_CHANGE_PTE) return true;
  if (step == STEP_SECONDARY || step == STEP_SECONDARY_ALL || step == STEP_SECONDARY_END) return true;
  return step == STEP_SECONDARY_PENDING || step == STEP_SECONDARY_TABLES;
}
/** A step of two turns, the first of which does nothing but take time. */
@inline
export function isTwofold(step: u32): bool {
  return step == STEP_UNLOCK || step == STEP_CPU_FLUSH || step == STEP_CPU_PENDING || step == STEP_CPU_RANGE;
}
/** A step that is none this time: reclaim has put nothing off, no table has been taken out. */
@inline
export function isNone(run: Run, step: u32): bool {
  if (step == STEP_SECONDARY_TABLES) return run.freed == 0;
  return (step == STEP_CPU_PENDING || step == STEP_SECONDARY_PENDING) && run.pended == 0;
}
/** Whether the kernel does it without being asked. */
export function isOwnAccount(occasion: u32): bool {
  return occasion >= AT_HINT && occasion <= AT_COLLAPSE;
}
/** Whether it is a call of the program that takes something away from a range. */
@inline
export function isCall(run: Run): bool {
  return hasRange(run) && !isOwnAccount(run.occasion) && run.occasion != AT_UNSHARE && run.writable == 0;
}

/** Another table's pages, in the braces of a range. */
export function nextHold(run: Run): void {
  run.inside = 1;
  run.inHold = run.gathered;
  run.holdFirst = u64.MAX_VALUE;
  run.holdLast = 0;
  run.holdTo = u64.MAX_VALUE;
}
/** A hold is over: the next one is of the next table, or of what a full gather has left of this one. */
export function endHold(run: Run): void {
  const rest = run.full != 0 && run.holdTo <= lastOf(run);
  run.holdFrom = rest ? run.holdTo : 0;
  if (!rest) run.position++;
  if (run.full != 0) run.held = run.gathered;
  run.full = run.inside = 0;
}
export function inRange(run: Run): bool {
  return run.position < tableCount && keyAt(run.position) <= (run.end - 1) >> TABLE_LG2;
}
/** The range that a list is called for, in braces as far as the table of the hold reaches. */
export function firstOf(run: Run): u64 {
  return run.inside == 0 ? run.first : max(run.first, keyAt(run.position) << TABLE_LG2);
}
export function lastOf(run: Run): u64 {
  return run.inside == 0 ? run.end - 1 : min(run.end - 1, ((keyAt(run.position) + 1) << TABLE_LG2) - 1);
}
/** Rows of earlier holds: no business of a step inside the braces, unless it is of all that is in the gather. */
@inline
export function oldRows(run: Run): u32 {
  return run.inside == 0 ? 0 : run.whenFull != 0 ? run.held : run.inHold;
}
/** Page of a gathered row. */
@inline
export function rowPage(run: Run, row: u32): u32 {
  return load<u32>(run.gather + (<usize>row << 3));
}

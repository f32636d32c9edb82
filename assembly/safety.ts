// Safety: windows of stale copies, obligation points, the properties S1 to S4 at the instant an access lands.
//
// A copy is an entry of the IOTLB or the device TLB, or a translation in flight. A page's window is open while a stale
// copy of it is left; it is exposed from its obligation point on: the frame freed, the first CPU access through the new
// PTE, the return of the operation that narrowed or cleaned it, the read of its content for swap.
import { epoch, knows, moveEpochs } from './clock';
import {
  add, bump, first, H_CPU_WINDOW, H_EXPOSED, H_WINDOW, N_ALLOWED, N_EXPOSED, N_IN_FLIGHT, N_S1_READ, N_S1_WRITE, N_S2,
  N_S3, N_S4, N_SHARED, N_STALE, N_WINDOWS_EMPTY, record,
} from './counters';
import { region, setting } from './layout';
import { LOG_BROKEN, LOG_DUE, LOG_WINDOW, note } from './log';
import { SET_REUSE } from './ops';

let staleCopies: usize = 0; // u32[pages]: stale copies in the secondary MMU
let changedAt: usize = 0; //   u64[pages]: 1 + when the window opened; 0 = closed
let obligedAt: usize = 0; //   u64[pages]: 1 + when the obligation fell due inside the open window; 0 = not yet
let owed: usize = 0; //        u8[pages]: what fell due besides, OWES_*
let userAgent: usize = 0; //   u32[pages]: 1 + the first CPU that used the present PTE, and
let userEpoch: usize = 0; //   u32[pages]: its epoch then; 0 = nobody yet
let asked: usize = 0; //       u8[pages]: the program asked for the change itself and has not been answered
let staleCpu: usize = 0; //    u32[pages]: stale entries of CPU TLBs
let cpuSince: usize = 0; //    u64[pages]: 1 + when the first of them became stale
let dueCopies: usize = 0; //   u64[pages]: agents in calls that have met the open window, a bit each; it has to be closed when they return
let dueEntries: usize = 0; //  u64[pages]: the same of the window of CPUs
let late: usize = 0; //        u8[pages]: LATE_*: it was not
let totals: usize = 0; //      u32 open windows, u32 stale entries of all CPU TLBs

export function initSafety(pages: u32): void {
  staleCopies = region(<usize>pages << 2);
  changedAt = region(<usize>pages << 3);
  obligedAt = region(<usize>pages << 3);
  owed = region(<usize>pages);
  userAgent = region(<usize>pages << 2);
  userEpoch = region(<usize>pages << 2);
  asked = region(<usize>pages);
  dueCopies = region(<usize>pages << 3);
  dueEntries = region(<usize>pages << 3);
  late = region(<usize>pages);
  staleCpu = region(<usize>pages << 2);
  cpuSince = region(<usize>pages << 3);
  totals = region(8);
}
/** Windows that are open now. */
@inline
export function openWindows(): u32 {
  return load<u32>(totals);
}
/** Stale entries of all CPU TLBs. */
@inline
export function staleCpuEntries(): u32 {
  return load<u32>(totals, 4);
}

@inline
export function hasStaleCopy(page: u32): bool {
  return load<u32>(staleCopies + (<usize>page << 2)) != 0;
}
/** Counts a copy of the page that has just become stale. */
export function staleCopyMade(page: u32, now: u64): void {
  const at = staleCopies + (<usize>page << 2);
  store<u32>(at, load<u32>(at) + 1);
  if (load<u64>(changedAt + (<usize>page << 3)) != 0) return;
  store<u64>(changedAt + (<usize>page << 3), now + 1);
  store<u32>(totals, openWindows() + 1);
  note(LOG_WINDOW, 0, 1, 0, page + 1, now);
}
/** Counts a stale copy that is gone, or valid again. The last one closes the window. */
export function staleCopyGone(page: u32, now: u64): void {
  const at = staleCopies + (<usize>page << 2);
  assert(load<u32>(at) > 0);
  store<u32>(at, load<u32>(at) - 1);
  if (load<u32>(at) != 0) return;
  const opened = changedAt + (<usize>page << 3);
  const obliged = obligedAt + (<usize>page << 3);
  assert(now + 1 >= load<u64>(opened) && now + 1 >= load<u64>(obliged));
  record(H_WINDOW, now + 1 - load<u64>(opened));
  if (load<u64>(obliged) != 0) record(H_EXPOSED, now + 1 - load<u64>(obliged));
  store<u64>(opened, 0);
  store<u64>(obliged, 0);
  store<u8>(owed + page, 0);
  store<u64>(dueCopies + (<usize>page << 3), 0);
  store<u32>(totals, openWindows() - 1);
  note(LOG_WINDOW, 0, 0, 0, page + 1, now);
}
/** A translation was taken away or narrowed: a change without a copy is counted apart. */
@inline
export function countEmpty(page: u32): void {
  if (!hasStaleCopy(page)) bump(N_WINDOWS_EMPTY);
}

/** A CPU's entry has become stale; or has gone, or is valid again. */
export function staleCpuMade(page: u32, now: u64): void {
  const at = staleCpu + (<usize>page << 2);
  store<u32>(totals, staleCpuEntries() + 1, 4);
  if (load<u32>(at) == 0) store<u64>(cpuSince + (<usize>page << 3), now + 1);
  store<u32>(at, load<u32>(at) + 1);
}
export function staleCpuGone(page: u32, now: u64): void {
  const at = staleCpu + (<usize>page << 2);
  assert(load<u32>(at) > 0);
  store<u32>(totals, staleCpuEntries() - 1, 4);
  store<u32>(at, load<u32>(at) - 1);
  if (load<u32>(at) != 0) return;
  const since = load<u64>(cpuSince + (<usize>page << 3));
  store<u64>(cpuSince + (<usize>page << 3), 0);
  store<u64>(dueEntries + (<usize>page << 3), 0);
  store<u8>(late + page, 0);
  // A CPU's private steps may be ahead of the change that closes the window.
  record(H_CPU_WINDOW, now + 1 > since ? now + 1 - since : 0);
}

/** Whether the page's open window began by then, so that a change of that time is in it. */
@inline
export function openedBy(page: u32, time: u64): bool {
  return load<u64>(changedAt + (<usize>page << 3)) <= time + 1;
}

/** Of an obligation: an old copy must not be used, */
export const OWES_NOTHING: u32 = 0;
/** nor write where the page may not be written any more, */
export const OWES_PERMISSION: u32 = 1;
/** nor write without setting a D bit that was cleared, or after the content was read. */
export const OWES_DIRTY: u32 = 2;

/** The page's obligation falls due. `reachable`: its copies are not behind a deferred invalidation. */
export function oblige(page: u32, now: u64, owes: u32, reachable: bool): void {
  if (!hasStaleCopy(page) || !reachable) return;
  const at = obligedAt + (<usize>page << 3);
  if (load<u64>(at) == 0) {
    store<u64>(at, now + 1);
    bump(N_EXPOSED);
    note(LOG_DUE, 0, 0, 0, page + 1, now);
  }
  store<u8>(owed + page, load<u8>(owed + page) | <u8>owes);
}

/** The PTE was cleared: whoever uses the next one is its first user. */
@inline
export function forgetUser(page: u32): void {
  moveEpochs();
  store<u32>(userAgent + (<usize>page << 2), 0);
  store<u32>(userEpoch + (<usize>page << 2), 0);
}
/** A CPU translates through the present PTE. Returns whether it is the first to do so. */
export function noteUser(page: u32, who: u32): bool {
  const at = userAgent + (<usize>page << 2);
  if (load<u32>(at) != 0) return false;
  moveEpochs();
  store<u32>(at, who + 1);
  store<u32>(userEpoch + (<usize>page << 2), epoch(who));
  return true;
}

/** Agent + 1 of the page's first user, or 0, and its epoch then. */
@inline
export function userOf(page: u32): u32 {
  return load<u32>(userAgent + (<usize>page << 2));
}
@inline
export function epochOfUser(page: u32): u32 {
  return load<u32>(userEpoch + (<usize>page << 2));
}
@inline
export function setEpochOfUser(page: u32, epoch: u32): void {
  store<u32>(userEpoch + (<usize>page << 2), epoch);
}

/** The program asked for a change of the page, or has its answer. */
@inline
export function setAsked(page: u32, value: u32): void {
  store<u8>(asked + page, <u8>value);
}

/** A call has returned, and CPUs may not use the old entry, */
const LATE: u8 = 1;
/** or not write by it. */
const LATE_TO_WRITE: u8 = 2;

/** A call of the program comes by the page: what is stale by now, whoever has made it so, has to be gone when it returns. */
export function noteCall(page: u32, who: u32): void {
  const bit = (<u64>1) << who;
  const copies = dueCopies + (<usize>page << 3);
  const entries = dueEntries + (<usize>page << 3);
  if (hasStaleCopy(page)) store<u64>(copies, load<u64>(copies) | bit);
  if (load<u32>(staleCpu + (<usize>page << 2)) != 0) store<u64>(entries, load<u64>(entries) | bit);
}
/** The call returns. Returns whether an obligation of the page falls due: its window is still that of then. */
export function settleCall(page: u32, who: u32, owes: u32): bool {
  const bit = (<u64>1) << who;
  const copies = dueCopies + (<usize>page << 3);
  const entries = dueEntries + (<usize>page << 3);
  if ((load<u64>(entries) & bit) != 0) store<u8>(late + page, load<u8>(late + page) | (owes == OWES_NOTHING ? LATE : LATE_TO_WRITE));
  const falls = (load<u64>(copies) & bit) != 0;
  store<u64>(entries, load<u64>(entries) & ~bit);
  store<u64>(copies, load<u64>(copies) & ~bit);
  return falls;
}
/** Whether a CPU's access by a stale entry is one that a call which has returned should have ended. */
export function isLate(page: u32, write: bool): bool {
  return (load<u8>(late + page) & (write ? LATE | LATE_TO_WRITE : LATE)) != 0;
}

/**
 * A device access lands through a stale translation. `freed`: its frame has been freed since it was filled. `same`: the
 * page still has that frame, so that only a permission has changed.
 */
export function landStale(page: u32, write: bool, freed: bool, same: bool, device: u32, now: u64, cursor: u32): void {
  bump(N_STALE);
  if (freed) {
    if (setting(SET_REUSE) != 0) violation(write ? N_S1_WRITE : N_S1_READ, 1, page, device, now, cursor);
    return;
  }
  const user = load<u32>(userAgent + (<usize>page << 2));
  if (!same && user != 0 && knows(device, user - 1, load<u32>(userEpoch + (<usize>page << 2)))) {
    if (load<u8>(asked + page) != 0) bump(N_ALLOWED);
    else violation(N_S2, 2, page, device, now, cursor);
    return;
  }
  if (load<u64>(obligedAt + (<usize>page << 3)) == 0) bump(N_IN_FLIGHT);
  else if (write && (load<u8>(owed + page) & OWES_PERMISSION) != 0) violation(N_S3, 3, page, device, now, cursor);
  else if (write && (load<u8>(owed + page) & OWES_DIRTY) != 0) violation(N_S4, 4, page, device, now, cursor);
  else bump(N_SHARED);
}

/** Counts a violation; the first one is kept. */
export function violation(counter: u32, property: u64, page: u32, device: u32, now: u64, cursor: u32): void {
  add(counter, 1);
  note(LOG_BROKEN, device, <u32>property, 0, page + 1, now);
  if (load<u64>(first) != 0) return;
  store<u64>(first, property);
  store<u64>(first + 8, page);
  const changed = load<u64>(changedAt + (<usize>page << 3));
  store<u64>(first + 16, changed == 0 ? now : changed - 1);
  store<u64>(first + 24, now);
  store<u64>(first + 32, device);
  store<u64>(first + 40, cursor);
}

/** Windows that are open now, for the host. */
export function openWindowCount(): u32 {
  return openWindows();
}

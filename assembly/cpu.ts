// A CPU runs its records. TLB hits are private: they run ahead up to the time at which somebody else could change
// something. A walk, a fault, an event, a post is shared and waits for its turn.
import { HAS_FAULTED, IS_SERVED, refill, serve } from './access';
import { mapped, mapPages, markPages, settleOccasion } from './area';
import { Cache, ENTRY_SHIFT, ENTRY_V, ENTRY_W, lookup, lookupInOrder, useAgain } from './cache';
import { Agent, retire, spend, staysNext } from './clock';
import { add, bump, N_COMPUTE, N_L1D_MISS, N_L1I_MISS } from './counters';
import { post } from './device';
import { stepList } from './fault';
import { cost, HEAD_OP, HEAD_SHIFT, MAX_VPN, OP_EVENT, OP_FETCH, OP_WRITE, setting } from './layout';
import {
  AT_DISCARD, AT_LAZYFREE, AT_MOVE, AT_PROTECT, AT_SHARE, AT_UNMAP, AT_UNTRACK, CAUSE_COMPUTE, CAUSE_SYSCALL, COST_ACCESS,
  COST_FETCH, COST_SYSCALL, EVENT_DISCARD, EVENT_LAZYFREE, EVENT_MAP, EVENT_MARK, EVENT_MOVE, EVENT_NONE,
  EVENT_PAGES, EVENT_PROTECT, EVENT_RANGE, EVENT_REAP, EVENT_UNMAP, KIND_GONE, SET_DATA_ONLY, SET_DEVICE, SET_MMAP_LOCK,
} from './ops';
import { beginRange } from './path';
import { endRuns, event, field, hasPost, initPrograms, isEvent, nDatas, nFetches, Program, programOf, show } from './program';
import { LRU } from './replacement';
import { CpuCaches, cpuCaches } from './space';
import { touch } from './table';
import { beginWork, hasList, nextList, reap } from './work';

// Phases of a CPU.
const USER: u32 = 0;
const KERNEL: u32 = 1; //  a list runs
const MAPPING: u32 = 2; // a list runs that makes room for a mapping,
const MOVING: u32 = 3; //  or for a range that moves
const WORKING: u32 = 4; // page by page

let fetchPs: u64 = 0;
let accessPs: u64 = 0;

// Kinds of open runs, in `again` and `counted`.
const FETCHES: u32 = 1;
const DATAS: u32 = 2;

/** What became of a turn. */
export const WENT_ON: u32 = 0;
export const NEEDS_INPUT: u32 = 1;

export function initCpu(): void {
  initPrograms();
  fetchPs = cost(COST_FETCH);
  accessPs = setting(SET_DATA_ONLY) != 0 ? cost(COST_ACCESS) : 0;
}
/** Whether the CPU runs its program. */
@inline
export function isInUserMode(who: Agent): bool {
  return who.phase == USER;
}
/** Whether the CPU goes through a range page by page, as a migration does. */
@inline
export function isWorking(who: Agent): bool {
  return who.phase == WORKING;
}
/** One turn of a CPU; private steps go on while the clock is below `limit`. */
export function stepCpu(who: Agent, limit: u64): u32 {
  const p = programOf(who.id);
  if (who.phase != USER) {
    show(p);
    if (who.phase != WORKING || hasList(who)) if (!stepList(who)) return WENT_ON;
    if (who.phase == WORKING && nextList(who)) return WENT_ON;
    if (who.phase == MOVING) {
      startMove(who, event(p));
      return WENT_ON;
    }
    if (who.phase == MAPPING) mapPages(field(event(p), 1), field(event(p), 2), <u32>field(event(p), 3));
    if (isEvent(p, p.cursor)) p.cursor++;
    who.phase = USER;
    return WENT_ON;
  }
  const cpu = cpuCaches(who.id);
  let turn = who.clock; // of this CPU
  while (true) {
    if (!runPrivate(who, cpu, limit)) return WENT_ON;
    // The next step is shared: it is taken now if it is still this CPU's turn.
    if (who.clock != turn && !staysNext(who)) return WENT_ON;
    if (p.cursor == p.records && !hasPost(p)) {
      if (p.last == 0) return NEEDS_INPUT;
      retire(who);
      return WENT_ON;
    }
    show(p);
    if (hasPost(p)) {
      const work = load<u32>(p.posts + (<usize>p.nextPost << 3), 4);
      p.nextPost++;
      if (setting(SET_DEVICE) != 0) post(who, work >> 1, work & 1);
      return WENT_ON;
    }
    if (isEvent(p, p.cursor)) {
      startEvent(who);
      return WENT_ON;
    }
    if (!translate(who, cpu)) return WENT_ON;
    // It has been served, which changes nothing that the limit depends on. The access is next, unless somebody flushes before.
    if (!staysNext(who)) return WENT_ON;
    turn = who.clock;
  }
}

/** Runs hits. True: the next step is shared, or there is no next; false: the limit is reached. */
function runPrivate(who: Agent, cpu: CpuCaches, limit: u64): bool {
  const p = programOf(who.id);
  while (true) {
    if (cpu.poked != 0) {
      cpu.poked = 0;
      p.again = (p.fetchPage != 0 ? FETCHES : 0) | (p.dataPage != 0 ? DATAS : 0);
    }
    // What an open run has been granted is for its next access, whatever has changed since.
    if (p.granted != 0 && p.begun != 0) {
      p.again &= ~kindBit(p.missedFetch != 0);
      p.looked |= kindBit(p.missedFetch != 0);
      useGrant(p);
    }
    const fence = p.nextPost < p.postCount ? min(load<u32>(p.posts + (<usize>p.nextPost << 3)) + 1, p.records) : p.records;
    if (p.begun == 0 && p.again == 0 && p.counted == 0) runWhole(who, cpu, fence, limit);
    if (p.cursor == p.records || hasPost(p) || (p.begun == 0 && isEvent(p, p.cursor))) return true;
    if (who.clock >= limit) return false;
    if (!runPiece(who, cpu, limit)) return true;
  }
}

/** The fast loop: whole records whose first access hits in L1 and that end before `limit`. */
function runWhole(who: Agent, cpu: CpuCaches, fence: u32, limit: u64): void {
  if (cpu.l1i.replacement == LRU && cpu.l1d.replacement == LRU) wholeRecords(who, cpu, fence, limit, true);
  else anyWhole(who, cpu, fence, limit);
}

function anyWhole(who: Agent, cpu: CpuCaches, fence: u32, limit: u64): void {
  wholeRecords(who, cpu, fence, limit, false);
}

/** `lru`: both first levels are. A constant, so that either caller has a loop of its own. */
@inline
function wholeRecords(who: Agent, cpu: CpuCaches, fence: u32, limit: u64, lru: bool): void {
  const p = programOf(who.id);
  const heads = p.heads;
  const counts = p.counts;
  const datas = p.datas;
  const l1i = cpu.l1i;
  const l1d = cpu.l1d;
  const spanI = <usize>l1i.ways << 3;
  const spanD = <usize>l1d.ways << 3;
  let clock = who.clock;
  let accesses: u64 = 0;
  let cursor = p.cursor;
  let fetchPage = p.fetchPage;
  let dataPage = p.dataPage;
  let dataWrites = p.dataWrites;
  while (cursor < fence && clock < limit) {
    const head = load<u32>(heads + (<usize>cursor << 2));
    const op = head & HEAD_OP;
    if (op == OP_EVENT) break;
    const page = head >> HEAD_SHIFT;
    const i = <u64>load<u16>(counts + (<usize>cursor << 1));
    const d = <u64>load<u16>(datas + (<usize>cursor << 1));
    const end = clock + i * fetchPs + d * accessPs;
    if (end > limit) break;
    const want = (page << ENTRY_SHIFT) | ENTRY_V;
    if (op == OP_FETCH) {
      const set = l1i.heldSet(page);
      if (set == 0) break;
      const at = lru ? lookupInOrder(set, set + spanI, want, ~ENTRY_W, LRU) : lookup(l1i, set, want, ~ENTRY_W);
      if (at == 0) break;
      fetchPage = page + 1;
    } else {
      const set = l1d.heldSet(page);
      if (set == 0) break;
      const writes: u32 = op == OP_WRITE ? 1 : 0;
      const mask: u32 = writes != 0 ? ~0 : ~ENTRY_W;
      const low = want | (writes << 1);
      if ((lru ? lookupInOrder(set, set + spanD, low, mask, LRU) : lookup(l1d, set, low, mask)) == 0) break;
      dataPage = page + 1;
      dataWrites = writes;
    }
    touch(page);
    if (!lru) {
      p.looked |= kindBit(op == OP_FETCH);
      goOn(p, l1i, fetchPage, FETCHES, <u32>i);
      goOn(p, l1d, dataPage, DATAS, <u32>d);
    }
    accesses += i + d;
    clock = end;
    cursor++;
  }
  p.cursor = cursor;
  p.fetchPage = fetchPage;
  p.dataPage = dataPage;
  p.dataWrites = dataWrites;
  add(N_COMPUTE, accesses);
  spend(who, CAUSE_COMPUTE, clock - who.clock);
}

/** `times` accesses of an open run (page id + 1) take place; the first is no hit of its own if it has been looked up. */
function goOn(p: Program, first: Cache, page: u32, kind: u32, times: u32): void {
  if (times == 0) return;
  const hits = times - ((p.looked & kind) != 0 ? 1 : 0);
  p.looked &= ~kind;
  if (hits != 0) useAgain(first, page - 1, hits);
}

/** A part of the record in hand, up to `limit` or its end. False: an access of it needs a shared step first. */
function runPiece(who: Agent, cpu: CpuCaches, limit: u64): bool {
  const p = programOf(who.id);
  const head = load<u32>(p.heads + (<usize>p.cursor << 2));
  const op = head & HEAD_OP;
  const page = head >> HEAD_SHIFT;
  const i = nFetches(p, p.cursor);
  const d = nDatas(p, p.cursor);
  const n = i + d;
  const length = i * fetchPs + d * accessPs;
  if (p.begun == 0) {
    const writes: u32 = op == OP_WRITE ? 1 : 0;
    if (!hits(who, cpu, page, op == OP_FETCH, writes)) return false;
    p.begun = 1;
    p.looked |= kindBit(op == OP_FETCH);
    touch(page);
    if (op == OP_FETCH) {
      p.fetchPage = page + 1;
      p.again &= ~FETCHES;
    } else {
      p.dataPage = page + 1;
      p.dataWrites = writes;
      p.again &= ~DATAS;
    }
  }
  let most = <u32>n;
  if (p.again != 0) {
    // Each kind is looked up before its own next access, so that what has been granted is used before more is asked for.
    const fetched = <u64>p.done * i / n;
    const fetch = <u64>(p.done + 1) * i / n > fetched;
    if ((p.again & kindBit(fetch)) != 0) {
      if (!hits(who, cpu, (fetch ? p.fetchPage : p.dataPage) - 1, fetch, fetch ? 0 : p.dataWrites)) return false;
      p.again &= ~kindBit(fetch);
      p.looked |= kindBit(fetch);
    }
    const others = fetch ? d - (p.done - fetched) : i - fetched;
    if ((p.again & kindBit(!fetch)) != 0 && others != 0) most = p.done + 1;
  }
  // Access k of n stands at floor(k * length / n) after the first.
  const base = who.clock - share(length, p.done, n);
  let done = most;
  if (base + length > limit || who.clock >= limit) {
    const room = limit > base ? limit - base : 0;
    if (length != 0) done = min(most, <u32>min(n, (room * n + length - 1) / length));
    // A second-level hit may have taken the clock past the limit: the access that it was for is done all the same.
    if (length == 0 || done <= p.done) done = p.done + 1;
  }
  const end = base + share(length, done, n);
  const fetches = <u32>(share(i, done, n) - share(i, p.done, n));
  goOn(p, cpu.l1i, p.fetchPage, FETCHES, fetches);
  goOn(p, cpu.l1d, p.dataPage, DATAS, done - p.done - fetches);
  add(N_COMPUTE, done - p.done);
  spend(who, CAUSE_COMPUTE, end - who.clock);
  p.done = done;
  if (done == <u32>n) {
    p.cursor++;
    p.done = p.begun = 0;
  }
  return true;
}

/** What `done` of the `n` accesses of a record have of `total`, rounded down. Most records are done at once: without a division. */
@inline
function share(total: u64, done: u32, n: u64): u64 {
  return done == 0 ? 0 : done == <u32>n ? total : <u64>done * total / n;
}
@inline
function kindBit(fetch: bool): u32 {
  return fetch ? FETCHES : DATAS;
}
/** The access that was granted takes place. */
function useGrant(p: Program): void {
  p.granted = 0;
  p.counted &= ~kindBit(p.missedFetch != 0);
}

/** Looks a page up in this CPU's TLBs. False: it takes a shared step. */
function hits(who: Agent, cpu: CpuCaches, page: u32, fetch: bool, write: u32): bool {
  const p = programOf(who.id);
  const kind = kindBit(fetch);
  if (p.granted != 0) {
    assert(p.granted == page + 1 && (p.missedFetch != 0) == fetch);
    useGrant(p);
    return true;
  }
  const first = fetch ? cpu.l1i : cpu.l1d;
  const want = (page << ENTRY_SHIFT) | ENTRY_V | (write << 1);
  const mask = write != 0 ? ~0 : ~ENTRY_W;
  if (first.mayHold(page) && lookup(first, first.set(page), want, mask) != 0) {
    p.counted &= ~kind;
    return true;
  }
  if ((p.counted & kind) == 0) bump(fetch ? N_L1I_MISS : N_L1D_MISS);
  if (refill(who, cpu, first, page, want, mask)) {
    p.counted &= ~kind;
    return true;
  }
  p.counted |= kind;
  p.missed = page;
  p.missedFetch = fetch ? 1 : 0;
  p.missedWrite = write;
  return false;
}

/** The shared half of a translation, at this CPU's turn. Returns whether the access has been granted. */
function translate(who: Agent, cpu: CpuCaches): bool {
  const p = programOf(who.id);
  const page = p.missed;
  const served = serve(who, cpu, p.missedFetch != 0 ? cpu.l1i : cpu.l1d, page, p.missedWrite);
  if (served == IS_SERVED) p.granted = page + 1;
  else if (served == HAS_FAULTED) who.phase = KERNEL;
  return served == IS_SERVED;
}

// ---- events ----

function startEvent(who: Agent): void {
  const p = programOf(who.id);
  endRuns(p);
  const row = event(p);
  const op = <u32>field(row, 0);
  const first = field(row, 1);
  const end = field(row, 2);
  // One child at a time: an earlier one is gone by the next fork.
  if (op == EVENT_REAP || (op == EVENT_RANGE && end > first && field(row, 3) == AT_SHARE)) reap(who);
  if (op == EVENT_MARK && end > first) markPages(first, end, <u32>field(row, 3));
  if (op == EVENT_NONE || op == EVENT_MARK || end <= first || (op == EVENT_MOVE && overlaps(row))) {
    p.cursor++;
    return;
  }
  who.phase = op == EVENT_MAP ? MAPPING : KERNEL;
  spend(who, CAUSE_SYSCALL, cost(COST_SYSCALL));
  if (op == EVENT_MAP && !mapped(first, end)) {
    mapPages(first, end, <u32>field(row, 3));
    who.phase = USER;
    p.cursor++;
    return;
  }
  if (op == EVENT_MOVE) {
    const to = field(row, 3);
    // Another CPU may use the new place until mmap_lock is taken, so that it is unmapped under it.
    if (setting(SET_MMAP_LOCK) == 0 && !mapped(to, to + end - first)) startMove(who, row);
    else {
      who.phase = MOVING;
      beginRange(who, settleOccasion(AT_UNMAP, to, to + end - first), to, to + end - first).mmapKept = 1;
    }
    return;
  }
  if (op == EVENT_PAGES) {
    who.phase = WORKING;
    if (beginWork(who, first, end, <u32>field(row, 3), <u32>field(row, 4))) return;
    who.phase = USER;
    p.cursor++;
    return;
  }
  const asked = op == EVENT_MAP || op == EVENT_UNMAP ? AT_UNMAP
    : op == EVENT_RANGE ? <u32>field(row, 3)
    : op == EVENT_DISCARD ? AT_DISCARD
    : op == EVENT_LAZYFREE ? AT_LAZYFREE
    : AT_PROTECT;
  const run = beginRange(who, settleOccasion(asked, first, end), first, end);
  if (op == EVENT_PROTECT) run.writable = <u32>field(row, 3);
  if (run.occasion == AT_UNTRACK && first == 0 && end > MAX_VPN) run.everything = 1;
}
/** The new place is empty, mremap has unmapped what was there; until a page arrives, nobody can fault it in. */
function startMove(who: Agent, row: usize): void {
  const first = field(row, 1);
  const end = field(row, 2);
  const to = field(row, 3);
  mapPages(to, to + end - first, KIND_GONE);
  const held = who.phase == MOVING;
  who.phase = KERNEL;
  const run = beginRange(who, AT_MOVE, first, end);
  run.newFirst = to;
  if (held) run.mmapHeld = 1;
}
/** mremap refuses a new place that overlaps the old one. */
function overlaps(row: usize): bool {
  const first = field(row, 1);
  const end = field(row, 2);
  const to = field(row, 3);
  return to < end && first < to + end - first;
}

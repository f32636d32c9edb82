// CPUs that call the DMA API: map and unmap, each in its turns. What an unmap does about the IOTLB is a setting.
import { Agent, agent, block, retire, spend, wake } from './clock';
import { add, bump, N_PATH_COUNT, N_PATH_PAGES, N_PATH_PS, N_PATH_SECONDARY } from './counters';
import { coveringOrder } from './command';
import { beginFlush, countFull, endFlush, enqueue, makeRoom, stepFlush } from './flushqueue';
import { allocFast, allocTree, freeIova, NO_IOVA } from './iova';
import { rouseWaiting } from './issuer';
import { cost, region, setting } from './layout';
import { give, IOVA_LOCK, Lock, lockOf, newLocks, take } from './lock';
import { CALL_BEGINS, CALL_RETURNS, LOG_CALL, note } from './log';
import {
  handBack, Instance, instance, IS_ENDING, IS_MAPPED, leavesOf, lendFrames, mapPages, returnFrames, setCovered, spaceBase, takeFrames,
  unmapPages,
} from './mapping';
import {
  CAUSE_IDLE, CAUSE_IOVA, CAUSE_PTE, COST_IOVA_ALLOC_SLOW, COST_MAP_CALL, COST_MAP_PAGE, COST_UNMAP_CALL, COST_UNMAP_PAGE,
  SET_COMMANDS, SET_CPUS, SET_MAX_ORDER, SET_SPACES, SET_UNMAP, UNMAP_IDEAL, UNMAP_LAZY, UNMAP_NEVER,
} from './ops';
import { isStepwise, stopRun, STOP_NO_IOVA } from './progress';
import { fieldOf, hasMore, nextRecord, numberOf, opOf, RECORD_MAP, thinkOf } from './recording';
import { dropTables } from './space';
import { Submission } from './submission';
import { beginMapFlush, beginSubmission, flushesMaps, stepSubmission } from './submit';

// Phases of a CPU.
const NEXT: u32 = 0;
const BEGIN: u32 = 1; //    the think time is over
const LOCKED: u32 = 2; //   has the lock of the IOVA tree
const UNLOCK: u32 = 3;
const MAP: u32 = 4; //      has its IOVA
const MAPPED: u32 = 5;
const SYNC: u32 = 6; //     the unmapped range is invalidated
const FREE: u32 = 7;
const QUEUE: u32 = 8;
const FLUSH: u32 = 9; //    the queue was full
const RETURN: u32 = 10;
const TREE: u32 = 11; //    asks for the lock of the IOVA tree
const FLUSH_MAP: u32 = 12; // what was not there is invalidated
const FORGET: u32 = 13; //   tables that are gone are invalidated

@unmanaged
class Caller {
  covers: u64; // unmaps that the flush under way covers
  began: u64; //  the call, ps
  row: usize; //  of the call, or 0
  page: u32; //   IOVA, of a map under way
  sent: u32; //   1: the invalidation is submitted
  next: u32; //   domain that the flush under way is at
  job: Submission;
}
const CALLER_BYTES: usize = offsetof<Caller>();

/** Rows of the two calls among the paths. */
const PATH_MAP: u32 = 0;
const PATH_UNMAP: u32 = 1;

let callers: usize = 0; // Caller[cpus]
let locks: usize = 0; //   of the IOVA trees
let waiting: usize = 0; // u64: CPUs that wait to unmap, a bit each

export function initDrivers(): void {
  callers = region(<usize>setting(SET_CPUS) * CALLER_BYTES);
  locks = newLocks(setting(SET_SPACES), 1, IOVA_LOCK);
  waiting = region(8);
  for (let cpu: u32 = 0; cpu < setting(SET_CPUS); cpu++) {
    caller(cpu).job = changetype<Submission>(region(offsetof<Submission>()));
  }
}
@inline
function caller(cpu: u32): Caller {
  return changetype<Caller>(callers + <usize>cpu * CALLER_BYTES);
}
@inline
function treeLock(space: u32): Lock {
  return lockOf(locks, space);
}

/** One turn of a CPU. */
export function stepDriver(who: Agent): void {
  const call = caller(who.id);
  if (who.phase == NEXT) {
    if (!goOn(who, call) && !hasMore(who.id)) retire(who);
    return;
  }
  if (opOf(call.row) == RECORD_MAP) stepMap(who, call);
  else stepUnmap(who, call);
  if (who.phase == NEXT && !isStepwise()) goOn(who, call);
}
/** The CPU comes to its next record, which nobody else can see. Returns whether there is one. */
function goOn(who: Agent, call: Caller): bool {
  const next = nextRecord(who.id);
  if (next == 0) return false;
  call.row = next;
  who.phase = BEGIN;
  spend(who, CAUSE_IDLE, thinkOf(next));
  return true;
}

// ---- map ----

function stepMap(who: Agent, call: Caller): void {
  const id = fieldOf(call.row, 0);
  const mapping = instance(id);
  const count = fieldOf(call.row, 1);
  switch (who.phase) {
    case BEGIN: {
      call.began = who.clock;
      note(LOG_CALL, who.id, PATH_MAP, CALL_BEGINS, 0, who.clock, id);
      if (setting(SET_UNMAP) == UNMAP_NEVER) {
        lendFrames(mapping);
        who.phase = MAPPED;
        return;
      }
      if (count == 0) {
        const before = instance(id - 1);
        mapping.page = before.page + before.pages;
        who.phase = MAP;
        return;
      }
      call.page = allocFast(who, who.id, mapping.space, count);
      who.phase = MAP;
      if (call.page == NO_IOVA) who.phase = TREE;
      return;
    }
    case TREE: {
      who.phase = LOCKED; // a waiter wakes as the owner
      take(treeLock(mapping.space), who);
      return;
    }
    case LOCKED: {
      call.page = allocTree(mapping.space, count);
      if (call.page == NO_IOVA) stopRun(STOP_NO_IOVA);
      spend(who, CAUSE_IOVA, cost(COST_IOVA_ALLOC_SLOW));
      who.phase = UNLOCK;
      return;
    }
    case UNLOCK: {
      give(treeLock(mapping.space), who);
      who.phase = MAP;
      return;
    }
    case MAP: {
      if (count != 0) {
        mapping.page = spaceBase(mapping.space) + call.page;
        mapping.taken = count;
      }
      const replaces = mapPages(mapping, fieldOf(call.row, 2) != 0, who.clock, numberOf(call.row));
      spend(who, CAUSE_PTE, cost(COST_MAP_CALL) + cost(COST_MAP_PAGE) * (leavesOf(mapping) - 1));
      if (replaces) forgetTables(who, call, mapping);
      else afterMap(who, call, id);
      return;
    }
    case FORGET: {
      if (stepSubmission(call.job, who)) afterMap(who, call, id);
      return;
    }
    case FLUSH_MAP: {
      if (stepSubmission(call.job, who)) who.phase = MAPPED;
      return;
    }
    default: {
      assert(who.phase == MAPPED);
      mapping.state = IS_MAPPED;
      finish(who, call, PATH_MAP, mapping.pages);
      rouseWaiting(id, who.clock);
      rouseDrivers(who.clock);
    }
  }
}

/** The mapping stands; the IOMMU may hold that nothing did. */
function afterMap(who: Agent, call: Caller, id: u32): void {
  who.phase = MAPPED;
  if (setting(SET_UNMAP) != UNMAP_IDEAL && flushesMaps()) beginFlushOfMap(who, call, id);
}
/**
 * Large leaves stand where tables were: the walk caches must forget those, which takes an invalidation of the range, or on AMD
 * of the domain (Linux drivers/iommu/intel/iommu.c switch_to_super_page, amd/io_pgtable.c iommu_v1_map_pages).
 */
function forgetTables(who: Agent, call: Caller, mapping: Instance): void {
  const last = mapping.page + mapping.pages - 1;
  if (setting(SET_UNMAP) == UNMAP_IDEAL) {
    dropTables(mapping.page, last);
    afterMap(who, call, fieldOf(call.row, 0));
    return;
  }
  bump(N_PATH_SECONDARY + PATH_MAP);
  beginSubmission(call.job, mapping.page, last, setting(SET_COMMANDS) != 0 || isTooWide(mapping.page, mapping.pages));
  who.phase = FORGET;
}

/** A scatter list is invalidated once, when its last piece is mapped. */
function beginFlushOfMap(who: Agent, call: Caller, id: u32): void {
  const mapping = instance(id);
  let first = id;
  while (instance(first).taken == 0) first--;
  const head = instance(first);
  if (mapping.page + mapping.pages != head.page + head.taken) return;
  bump(N_PATH_SECONDARY + PATH_MAP);
  const last = head.page + head.taken - 1;
  if (isTooWide(head.page, head.taken)) beginSubmission(call.job, head.page, last, true);
  else beginMapFlush(call.job, head.page, last);
  who.phase = FLUSH_MAP;
}

function finish(who: Agent, call: Caller, path: u32, pages: u32): void {
  note(LOG_CALL, who.id, path, CALL_RETURNS, 0, who.clock, fieldOf(call.row, 0));
  bump(N_PATH_COUNT + path);
  add(N_PATH_PAGES + path, pages);
  add(N_PATH_PS + path, who.clock - call.began);
  who.phase = NEXT;
}

// ---- unmap ----

function stepUnmap(who: Agent, call: Caller): void {
  const first = fieldOf(call.row, 0);
  const end = first + fieldOf(call.row, 1);
  const head = instance(first);
  switch (who.phase) {
    case BEGIN: {
      if (!mayUnmap(call.row)) {
        store<u64>(waiting, load<u64>(waiting) | (<u64>1 << who.id));
        block(who, CAUSE_IDLE);
        return;
      }
      beginUnmap(who, call, first, end);
      return;
    }
    case SYNC: {
      if (!sync(who, call, first, end)) return;
      for (let id = first; id < end; id++) setCovered(instance(id));
      who.phase = FREE;
      return;
    }
    case FREE: {
      freeIova(who, who.id, head.space, pageOf(head), head.taken);
      who.phase = RETURN;
      return;
    }
    case QUEUE: {
      if (makeRoom(who, who.id, head.space)) {
        countFull();
        bump(N_PATH_SECONDARY + PATH_UNMAP);
        call.next = 0;
        call.covers = beginFlush(call.job, head.space, who);
        who.phase = FLUSH;
        return;
      }
      enqueue(who, who.id, head.space, pageOf(head), head.taken);
      who.phase = RETURN;
      return;
    }
    case FLUSH: {
      call.next = stepFlush(call.job, who, call.next);
      if (call.next != setting(SET_SPACES)) return;
      endFlush(who.id, head.space, call.covers, who);
      who.phase = QUEUE;
      return;
    }
    default: {
      assert(who.phase == RETURN);
      for (let id = first; id < end; id++) {
        if (setting(SET_UNMAP) == UNMAP_NEVER) returnFrames(instance(id));
        else handBack(instance(id), who.clock);
      }
      finish(who, call, PATH_UNMAP, pagesIn(first, end));
    }
  }
}
@inline
function pageOf(mapping: Instance): u32 {
  return <u32>(mapping.page - spaceBase(mapping.space));
}
function pagesIn(first: u32, end: u32): u32 {
  let pages: u32 = 0;
  for (let id = first; id < end; id++) pages += instance(id).pages;
  return pages;
}
function leavesIn(first: u32, end: u32): u32 {
  let leaves: u32 = 0;
  for (let id = first; id < end; id++) leaves += leavesOf(instance(id));
  return leaves;
}
/** Whether what an unmap ends is mapped, by whichever CPU, and the accesses that it waits for are over. */
function mayUnmap(row: usize): bool {
  const first = fieldOf(row, 0);
  const end = first + fieldOf(row, 1);
  let landed: u32 = 0;
  for (let id = first; id < end; id++) {
    if (instance(id).state < IS_MAPPED) return false;
    landed += instance(id).landed;
  }
  return landed >= fieldOf(row, 2);
}

function beginUnmap(who: Agent, call: Caller, first: u32, end: u32): void {
  const mode = setting(SET_UNMAP);
  call.began = who.clock;
  note(LOG_CALL, who.id, PATH_UNMAP, CALL_BEGINS, 0, who.clock, first);
  call.sent = 0;
  for (let id = first; id < end; id++) {
    const mapping = instance(id);
    mapping.began = who.clock;
    mapping.state = IS_ENDING;
    if (mode == UNMAP_NEVER) takeFrames(mapping);
    else unmapPages(mapping, who.clock);
    if (mode == UNMAP_IDEAL) setCovered(mapping);
    rouseWaiting(id, who.clock);
  }
  who.phase = mode == UNMAP_NEVER ? RETURN : mode == UNMAP_LAZY ? QUEUE : mode == UNMAP_IDEAL ? FREE : SYNC;
  if (mode == UNMAP_NEVER) return;
  spend(who, CAUSE_PTE, cost(COST_UNMAP_CALL) + cost(COST_UNMAP_PAGE) * (leavesIn(first, end) - 1));
}

/** Whether no one command can name the range: the domain is invalidated (VT-d: PSI falls back to DSI above MAMV). */
@inline
function isTooWide(first: u64, pages: u32): bool {
  return coveringOrder(first, pages) > setting(SET_MAX_ORDER);
}

/** Invalidates the range of one unmap, scatter list included, and waits; a range too wide for a command, the domain. */
function sync(who: Agent, call: Caller, first: u32, end: u32): bool {
  if (call.sent == 0) {
    call.sent = 1;
    const from = instance(first).page;
    const pages = pagesIn(first, end);
    bump(N_PATH_SECONDARY + PATH_UNMAP);
    beginSubmission(call.job, from, from + pages - 1, isTooWide(from, pages));
  }
  return stepSubmission(call.job, who);
}

/** Accesses have landed, or pages are mapped: CPUs whose unmaps wait for them look again. */
export function rouseDrivers(now: u64): void {
  for (let left = load<u64>(waiting); left != 0; left &= left - 1) {
    const cpu = <u32>ctz(left);
    if (!mayUnmap(caller(cpu).row)) continue;
    store<u64>(waiting, load<u64>(waiting) & ~(<u64>1 << cpu));
    wake(agent(cpu), now);
  }
}

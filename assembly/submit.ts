// The driver's side of an invalidation: takes the queue's lock, writes the commands of the machine's recipe, rings the
// doorbell, waits. A recipe is data; which commands it names is the machine's business. Where a hypervisor emulates the
// IOMMU, the doorbell is an exit, in which it reads the page tables anew that the commands are about.
import { swap } from './bank';
import { agent, Agent, block, spend } from './clock';
import { blockOrder, coveringOrder, ORDER_ALL, SOURCE } from './command';
import { hasOwnTable, zap } from './consumer';
import { bump, N_RETRIES, N_SECONDARY, N_SKIPPED } from './counters';
import { readEvents } from './eventlog';
import {
  hazard, HAZARD_ABORTED_WAIT_AS_DONE, HAZARD_DEVICE_WITHOUT_TAG, HAZARD_REUSE_KEEPS_DEVICE_TLB, HAZARD_REUSE_KEEPS_PASID_ENTRY,
} from './hazard';
import { cost, fixed, setting } from './layout';
import { COMMAND_QUEUED, LOG_COMMAND, note } from './log';
import { DOMAIN_LOCK, give, Lock, lockOf, newLocks, QUEUE_LOCK, take } from './lock';
import {
  CAUSE_DEFER, CAUSE_EXIT, CAUSE_NOTIFIER, CAUSE_SUBMIT, CAUSE_WAIT, COMMAND_DEVICE_ALL, COMMAND_DEVICE_PAGE,
  COMMAND_END, COMMAND_IOTLB_GLOBAL, COMMAND_IOTLB_PAGE, COMMAND_IOTLB_RANGE, COMMAND_PASID_ENTRY, COMMAND_WAIT,
  COST_DEFER, COST_EXIT, COST_PTE_CLEAR, COST_SHADOW, COST_SUBMIT, COST_SUBMIT_NEXT, POLL_RETAKEN, PRQ_NOT_DRAINED, PRQ_POLLED_FIRST,
  PRQ_POLLED_LAST, PRQ_TAKEN, RECIPE_WORDS, RECIPES, SET_BATCH_COMMANDS, SET_BLOCKS, SET_COMMANDS, SET_DOMAIN_LOCK, SET_EACH_DEVICE,
  SET_LEVELS, SET_POLL, SET_PRQ_DRAIN, SET_SHADOWED, SET_SPACES,
} from './ops';
import { tablesOf } from './mapping';
import { defer, DEFERRED, FLUSHES, markLate } from './pasid';
import { hasPri } from './pri';
import { awaitHandled } from './prq';
import { clearFaults, FSTS_ICE, FSTS_ITE, registers, STATUS_EVENT } from './registers';
import { isRefused, malform, repair } from './repair';
import { doorbell, giveBack, nextSlot, push, room, rouse, slotAt, slotCount, statusAddress, statusOf } from './ring';
import { deviceCount, spaceOfDevice } from './space';
import { DRAINS, INVALIDATES, spaceOf, Submission, writeWords } from './submission';
import { TABLE_LG2 } from './table';
import { QI_DONE } from './vtd';

/** The largest page number: with page 0, a range that one block of order ORDER_ALL covers. */
const LAST_PAGE: u64 = ((<u64>1) << ORDER_ALL) - 1;

// Phases of a submission.
const BEGIN: u32 = 0;
const NEED_LOCK: u32 = 1;
const READY: u32 = 2; //     has the queue's lock
const WRITTEN: u32 = 3; //   the time that writing takes has passed
const TRAPPED: u32 = 4; //   the hypervisor is done
const COMPLETE: u32 = 5; //  the wait has completed
const MARK: u32 = 6; //      the PASID was idle and unmarked
const EMPTY: u32 = 7; //     has the lock of the consumer's own table
const OF_DOMAIN: u32 = 8; // asks for the lock of the domain's cache tags
const REFUSED: u32 = 9; //   has seen that the queue stands still at its command
const OVER: u32 = 10; //     nobody polls for it any more
const POLL: u32 = 11; //     until page requests are handled
const POLLED: u32 = 12; //   those that the handler had taken are
const LOOK: u32 = 13; //     has been told something, and has to have the queue's lock to see what

export const RECIPE_PAGE: u32 = 0;
export const RECIPE_RANGE: u32 = 1;
export const RECIPE_ALL: u32 = 2;
export const RECIPE_MAP: u32 = 3;
const RECIPE_RESPONSE: u32 = 4;
const RECIPE_DRAIN: u32 = 5;

let recipes: usize = 0; // u32[RECIPES * RECIPE_WORDS], written by the host
let lock: Lock = changetype<Lock>(0);
let domainLocks: usize = 0;
let hardware: u32 = 0; //  agent of the IOMMU
// Pages of the command in hand: no state.
let first: u64 = 0;
let last: u64 = 0;

export function initSubmit(hardwareAgent: u32): void {
  recipes = fixed(<usize>RECIPES * RECIPE_WORDS << 2);
  lock = lockOf(newLocks(1, 1, QUEUE_LOCK), 0);
  domainLocks = setting(SET_DOMAIN_LOCK) != 0 ? newLocks(max<u32>(1, setting(SET_SPACES)), 1, DOMAIN_LOCK) : 0;
  hardware = hardwareAgent;
}
export function swapSubmit(): void {
  recipes = swap(recipes);
  lock = swap(lock);
  domainLocks = swap(domainLocks);
  hardware = swap(hardware);
}
export function recipesAt(): usize {
  return recipes;
}

/** Begins the invalidation of pages first..last, or of the whole space. */
export function beginSubmission(job: Submission, first: u64, last: u64, whole: bool): void {
  bump(N_SECONDARY);
  begin(job, first, whole ? LAST_PAGE : last, whole ? RECIPE_ALL : first == last ? RECIPE_PAGE : RECIPE_RANGE);
  job.phase = BEGIN;
}
function begin(job: Submission, first: u64, last: u64, recipe: u32): void {
  job.first = first;
  job.last = last;
  job.spares = job.frees = job.overflows = job.releases = job.sent = job.answers = job.device = 0;
  job.list = job.recipe = recipeOf(recipe);
}
/** Begins the invalidation of all that there is of a PASID whose entry has been cleared (Linux intel_pasid_tear_down_entry). */
export function beginRelease(job: Submission): void {
  beginSubmission(job, 0, 0, true);
  job.releases = INVALIDATES;
  if (hazard(HAZARD_REUSE_KEEPS_DEVICE_TLB)) job.spares = 1;
}
/** Begins the response to a group of page requests. */
export function beginResponse(job: Submission, group: u32, code: u32): void {
  begin(job, 0, 0, RECIPE_RESPONSE);
  job.answers = group + 1;
  job.code = code;
  job.phase = NEED_LOCK;
}
/** Whether nobody waits for it: AMD's driver has a response queued and goes on (Linux 4.12 amd_iommu_complete_ppr). */
@inline
function isPosted(job: Submission): bool {
  return job.answers != 0 && setting(SET_COMMANDS) != 0;
}
@inline
function recipeOf(index: u32): usize {
  return recipes + (<usize>index * RECIPE_WORDS << 2);
}
/** Whether a map is followed by an invalidation: the IOMMU may hold that nothing was there. */
export function flushesMaps(): bool {
  return load<u32>(recipeOf(RECIPE_MAP)) != COMMAND_END;
}
/** Begins the invalidation of pages that have just been mapped. */
export function beginMapFlush(job: Submission, first: u64, last: u64): void {
  beginSubmission(job, first, last, false);
  job.list = job.recipe = recipeOf(RECIPE_MAP);
}

/** One step of it; returns whether it is complete. The agent may be blocked afterwards. */
export function stepSubmission(job: Submission, who: Agent): bool {
  const retaken = setting(SET_POLL) == POLL_RETAKEN;
  if (job.phase == BEGIN) {
    const deferral = job.releases != 0 ? FLUSHES : defer();
    if (deferral != FLUSHES) {
      spend(who, CAUSE_DEFER, cost(COST_DEFER));
      job.phase = MARK;
      return deferral == DEFERRED;
    }
    skipEmpty(job);
    if (load<u32>(job.recipe) == COMMAND_END) return true;
    job.phase = domainLocks != 0 ? OF_DOMAIN : NEED_LOCK;
  }
  if (job.phase == OF_DOMAIN) {
    job.phase = NEED_LOCK;
    if (!take(domainLock(job), who)) return false;
  }
  if (job.phase == MARK) {
    markLate();
    return true;
  }
  if (job.phase == LOOK) {
    job.phase = COMPLETE;
    if (!take(lock, who)) return false;
  }
  if (job.phase == COMPLETE && isRefused(job.slot, job.count)) {
    job.phase = REFUSED;
    spend(who, CAUSE_SUBMIT, cost(COST_SUBMIT)); // it writes a command and a register (assumed)
    return false;
  }
  if (job.phase == REFUSED) {
    const waits = repair(job.slot, job.count);
    rouse(agent(hardware), who.clock);
    job.phase = waits ? COMPLETE : OVER;
    if (waits) {
      block(who, CAUSE_WAIT);
      return false;
    }
  }
  if (job.phase == COMPLETE) {
    if ((registers.status & STATUS_EVENT) != 0) readEvents();
    giveBack(job.slot, job.count, who.clock);
    if (statusOf(lastSlot(job)) != QI_DONE) retry(job, who);
    job.phase = OVER;
  }
  if (job.phase == OVER) {
    skipEmpty(job);
    const drains = job.releases != 0 && hasPri() ? setting(SET_PRQ_DRAIN) : PRQ_NOT_DRAINED;
    if (drains == PRQ_POLLED_LAST && job.releases == INVALIDATES && load<u32>(job.recipe) == COMMAND_END) drainQueue(job);
    const over = load<u32>(job.recipe) == COMMAND_END;
    if (retaken || over) give(lock, who);
    if (over && domainLocks != 0 && job.answers == 0) give(domainLock(job), who);
    if (over && (drains == PRQ_NOT_DRAINED || (drains == PRQ_POLLED_FIRST && job.releases == DRAINS))) return true;
    job.phase = over ? POLL : retaken ? NEED_LOCK : READY;
  }
  if (job.phase == POLLED) return true;
  if (job.phase == POLL) {
    if (!awaitHandled(who)) {
      if (setting(SET_PRQ_DRAIN) == PRQ_TAKEN) job.phase = POLLED;
      return false;
    }
    if (setting(SET_PRQ_DRAIN) != PRQ_POLLED_FIRST) return true;
    drainQueue(job);
    job.phase = NEED_LOCK;
    if (domainLocks != 0 && !take(domainLock(job), who)) return false;
  }
  if (job.phase == NEED_LOCK) {
    job.phase = hasOwnTable() ? EMPTY : READY; // a waiter wakes as the owner
    if (!take(lock, who)) return false;
  }
  if (job.phase == EMPTY) {
    job.phase = READY;
    const gone = zap(job.first, job.last, who.clock);
    spend(who, CAUSE_NOTIFIER, cost(COST_PTE_CLEAR) * gone);
    if (gone == 0) {
      bump(N_SKIPPED);
      give(lock, who);
      if (domainLocks != 0) give(domainLock(job), who);
      return true;
    }
  }
  if (job.phase == READY) {
    const count = batchLength(job);
    if (!room(count, who)) {
      // Who spins for room lets go of the lock: slots come back under it.
      if (!retaken) return false;
      job.phase = NEED_LOCK;
      give(lock, who);
      return false;
    }
    job.phase = WRITTEN;
    spend(who, CAUSE_SUBMIT, cost(COST_SUBMIT) + cost(COST_SUBMIT_NEXT) * (max<u32>(count, 2) - 2));
    return false;
  }
  if (job.phase == WRITTEN && setting(SET_SHADOWED) != 0) {
    job.phase = TRAPPED;
    spend(who, CAUSE_EXIT, cost(COST_EXIT) + cost(COST_SHADOW) * entriesRead(job));
    return false;
  }
  assert(job.phase == WRITTEN || job.phase == TRAPPED);
  job.group = job.recipe;
  job.before = job.sent;
  job.slot = nextSlot();
  job.count = batchLength(job);
  writeBatch(job, who, job.count);
  doorbell(agent(hardware), who.clock);
  seeTimeOut(who);
  const posted = isPosted(job);
  if (retaken || posted) give(lock, who);
  if (posted) return true;
  job.phase = retaken ? LOOK : COMPLETE;
  block(who, CAUSE_WAIT);
  return false;
}

/** Page requests on their way are drained into their queue. */
function drainQueue(job: Submission): void {
  job.releases = DRAINS;
  job.recipe = recipeOf(RECIPE_DRAIN);
}

/** Its domain's lock: cache tags are gone through under it (Linux 6.12 drivers/iommu/intel/cache.c cache_tag_flush_range). */
@inline
function domainLock(job: Submission): Lock {
  return lockOf(domainLocks, spaceOf(job.first));
}

/** Page-table entries that a hypervisor reads for the commands of the next submission: a path to a block, or whole tables. */
function entriesRead(job: Submission): u64 {
  const end = job.sent + batchLength(job) - 1;
  let entries: u64 = 0;
  let index: u32 = 0;
  for (let at = job.recipe; load<u32>(at) != COMMAND_WAIT; at += 4) {
    const command = load<u32>(at);
    const count = commandsFor(command, job);
    for (let i: u32 = 0; i < count; i++) {
      if (!writes(job, index++, end) || isDevice(command)) continue;
      choose(command, job, i);
      entries += entriesFor(command);
    }
  }
  return entries;
}
function entriesFor(command: u32): u64 {
  const levels: u64 = setting(SET_LEVELS);
  if (command == COMMAND_IOTLB_PAGE || command == COMMAND_IOTLB_RANGE)
    return levels - 1 + (<u64>1 << coveringOrder(first, last - first + 1));
  if (command != COMMAND_IOTLB_GLOBAL) return <u64>(tablesOf(spaceOf(first)) + <u32>levels - 2) << TABLE_LG2;
  let entries: u64 = 0;
  for (let space: u32 = 0; space < setting(SET_SPACES); space++) entries += (tablesOf(space) + levels - 2) << TABLE_LG2;
  return entries;
}

@inline
function lastSlot(job: Submission): u32 {
  return (job.slot + job.count - 1) % slotCount();
}
/** Who polls for a wait looks at the fault status, too: fetching goes on. A strange answer is cleared. */
function seeTimeOut(who: Agent): void {
  clearFaults(FSTS_ICE);
  if ((registers.fsts & FSTS_ITE) == 0) return;
  clearFaults(FSTS_ITE);
  rouse(agent(hardware), who.clock);
}
/** The wait was aborted: a device did not answer. Linux clears the error and submits all of it anew (qi_check_fault). */
function retry(job: Submission, who: Agent): void {
  bump(N_RETRIES);
  seeTimeOut(who);
  if (hazard(HAZARD_ABORTED_WAIT_AS_DONE)) return;
  job.recipe = job.group;
  job.sent = job.before;
}

@inline
function isDevice(command: u32): bool {
  return command >= COMMAND_DEVICE_PAGE && command <= COMMAND_DEVICE_ALL;
}
/** Whether a device's TLB is invalidated too: it is one of the space, and its turn where each has the list for itself. */
function isConcerned(job: Submission, device: u32): bool {
  if (setting(SET_EACH_DEVICE) != 0 && device != job.device) return false;
  if (hazard(HAZARD_DEVICE_WITHOUT_TAG) && isLastOfSpace(device)) return false;
  return job.spares == 0 && spaceOfDevice(device) == spaceOf(job.first);
}
/** Whether it was attached behind all others of its space. */
function isLastOfSpace(device: u32): bool {
  for (let i = device + 1; i < deviceCount; i++) if (spaceOfDevice(i) == spaceOfDevice(device)) return false;
  return true;
}
/** Whether the entry of the PASID goes, ahead of all else. AMD has no command for that: its guest's pages take it along. */
function dropsEntry(job: Submission): bool {
  const begins = job.releases != 0 && job.recipe == recipeOf(RECIPE_ALL);
  return begins && setting(SET_COMMANDS) == 0 && !hazard(HAZARD_REUSE_KEEPS_PASID_ENTRY);
}
/** Commands that a word of a recipe stands for: each device of the space has its own, and so may have blocks of a range. */
function commandsFor(command: u32, job: Submission): u32 {
  let count: u32 = 0;
  if (isDevice(command)) {
    for (let i: u32 = 0; i < deviceCount; i++) if (isConcerned(job, i)) count++;
    return count;
  }
  if (command != COMMAND_IOTLB_RANGE || setting(SET_BLOCKS) == 0) return 1;
  for (let page = job.first; page <= job.last; page += <u64>1 << blockOrder(page, job.last)) count++;
  return count;
}
/** The pages that such a command of a word is about: all, or one block. */
function choose(command: u32, job: Submission, index: u32): void {
  first = job.first;
  last = job.last;
  if (command != COMMAND_IOTLB_RANGE || setting(SET_BLOCKS) == 0) return;
  for (let i: u32 = 0; i < index; i++) first += <u64>1 << blockOrder(first, last);
  last = first + (<u64>1 << blockOrder(first, last)) - 1;
}
/** Commands up to and with the next wait; every group ends in one. */
function groupLength(job: Submission): u32 {
  let count: u32 = dropsEntry(job) ? 2 : 1;
  for (let at = job.recipe; load<u32>(at) != COMMAND_WAIT; at += 4) count += commandsFor(load<u32>(at), job);
  return count;
}
/** Commands of the next submission, its wait included: as many of the group's as one may have. */
function batchLength(job: Submission): u32 {
  if (isPosted(job)) return 1;
  const left = groupLength(job) - job.sent;
  const most = setting(SET_BATCH_COMMANDS);
  return most != 0 && left > most + 1 ? most + 1 : left;
}
/** Leaves out waits that have nothing to wait for: no device is attached to the space. Behind the list comes that of the next device. */
function skipEmpty(job: Submission): void {
  while (true) {
    while (load<u32>(job.recipe) != COMMAND_END && groupLength(job) == 1) {
      while (load<u32>(job.recipe) != COMMAND_WAIT) job.recipe += 4;
      job.recipe += 4;
    }
    if (load<u32>(job.recipe) != COMMAND_END || !hasNextDevice(job)) return;
    job.device++;
    job.recipe = job.list;
  }
}
function hasNextDevice(job: Submission): bool {
  return setting(SET_EACH_DEVICE) != 0 && job.answers == 0 && job.releases != DRAINS && job.device + 1 < deviceCount;
}

/** Writes the next `count` commands of the group, a wait among them, into the ring. */
function writeBatch(job: Submission, who: Agent, count: u32): void {
  const end = job.sent + count - (isPosted(job) ? 0 : 1);
  const begins = dropsEntry(job);
  const all = setting(SET_BATCH_COMMANDS) == 0 || end == groupLength(job) - 1;
  let index: u32 = 0;
  if (begins && writes(job, index++, end)) write(COMMAND_PASID_ENTRY, job, 0, 0, who);
  let at = job.recipe;
  for (; load<u32>(at) != COMMAND_WAIT; at += 4) {
    const command = load<u32>(at);
    if (isDevice(command)) {
      for (let i: u32 = 0; i < deviceCount; i++) {
        if (!isConcerned(job, i) || !writes(job, index++, end)) continue;
        choose(command, job, 0);
        write(command, job, SOURCE + i, 0, who);
      }
      continue;
    }
    const count = commandsFor(command, job);
    for (let i: u32 = 0; i < count; i++) {
      if (!writes(job, index++, end)) continue;
      choose(command, job, i);
      write(command, job, 0, 0, who);
    }
  }
  if (!isPosted(job)) write(COMMAND_WAIT, job, 0, who.id + 1, who);
  if (job.answers == 0) malform(slotAt(job.slot));
  job.sent = all ? 0 : end;
  if (all) job.recipe = at + 4;
}
/** Whether a command of the group, by its place in it, is one of this submission. */
@inline
function writes(job: Submission, index: u32, end: u32): bool {
  return index >= job.sent && index < end;
}
/** Writes one command; `source`: whose TLB it is about; `caller`: agent + 1 whom a wait wakes. */
function write(command: u32, job: Submission, source: u32, caller: u32, who: Agent): void {
  const status = statusAddress(nextSlot());
  note(LOG_COMMAND, who.id, 0, COMMAND_QUEUED, 0, who.clock, nextSlot());
  const at = push(caller);
  writeWords(at, command, job, first, last, source, status);
}

// The IOMMU's command processor: fetches commands in order, starts them, and completes waits in order. What a command says
// is read from its words alone, so that what is priced is what a driver really wrote.
//
// The head moves at the fetch. A wait completes when every earlier command has (VT-d 6.5.2.8; 48882, 2.4.1); commands
// behind it may start before, unless it fences. One command at a time is carried out, and its effect is at the end of its
// service; requests to devices and drains go on beside (pending.ts).
import { amdResponseCode, amdResponseGroup, amdWaitData, amdWaitFence, amdWaitInterrupt, amdWaitStore, amdWaitStores } from './amdvi';
import { swap } from './bank';
import { dropEntry } from './binding';
import { NO_PASID } from './block';
import { Agent, RUNNABLE, spend, staysNext } from './clock';
import { DOMAIN, ORDER_ALL, SOURCE, SPACE_PAGES_LG2 } from './command';
import {
  add, bump, countFor, countForAll, N_ABORTED, N_DEVICE_TLB, N_IOTLB_DOMAIN, N_IOTLB_GLOBAL, N_IOTLB_PAGE, N_IOTLB_PASID, N_IOTLB_RANGE, N_PAGE_RESPONSES, N_PASID_ENTRY, N_WAIT,
} from './counters';
import { amdError, iqeiOf, vtdError } from './descriptor';
import { EVENT_ILLEGAL_COMMAND, EVENT_IOTLB_TIMEOUT, logEvent } from './eventlog';
import {
  decodeCommand, depth, does, DOES_ALL, DOES_DEVICE_TLB, DOES_PASIDS, DOES_RESPONSE, DOES_TRANSLATIONS, DOES_WAIT, drains, firstPage as scopePage, leafOnly,
  pageOrder, scopeDomain, scopePasid, scopeSource,
} from './invalidation';
import { clear, cost, region, setting } from './layout';
import { COMMAND_DONE, COMMAND_FETCHED, COMMAND_REFUSED, COMMAND_SENT, LOG_COMMAND, note } from './log';
import {
  CAUSE_IDLE, COST_INV_DOMAIN, COST_INV_GLOBAL, COST_INV_PAGE, COST_INV_PASID, COST_WAIT, SET_ATS, SET_CAPS, SET_COMMANDS,
  SET_DMA, SET_SPACES,
} from './ops';
import { sharesDomains } from './mapping';
import { ALL_DEVICES, countStall, drain, giveUp, isLate, itagFree, oldestPending, sendRequest, squash } from './pending';
import { answerGroup, hasPri, requestsTravel } from './pri';
import { isStepwise } from './progress';
import {
  clearFaults, FSTS_ITE, halted, IQEI_ALIGNMENT, IQEI_TAIL, raiseInvalid, raiseWaited, registers,
  STATUS_COMMAND_RUN,
} from './registers';
import {
  abortStatus, advanceHead, alert, headSlot, isPolled, rest, setTail, slotAt, slotBytes, slotCount, submitted, writeStatus,
} from './ring';
import { deviceCount, dropIotlb, dropTables, spaceOfDevice } from './space';
import { dropPasids } from './structures';
import { ANY } from './tagged';
import { vtdResponseCode, vtdResponseGroup, vtdWaitAddress, vtdWaitData, vtdWaitDrains, vtdWaitFence, vtdWaitInterrupt, vtdWaitWrites } from './vtd';

// What a command is, after decoding.
const IS_WAIT: u32 = 0;
const IS_IOTLB: u32 = 1;
const IS_DEVICE: u32 = 2;
const IS_TABLE: u32 = 3; // of tables that are not cached here: nothing is there to drop
const IS_RESPONSE: u32 = 4; // to page requests

// Phases of the processor.
const READY: u32 = 0;
const SERVE: u32 = 1; //    a command is being carried out
const COMPLETE: u32 = 2; // a wait is being completed

// What a wait does when it completes.
const WRITES: u32 = 1;
const WRITES_WIDE: u32 = 2; // 8 bytes
const INTERRUPTS: u32 = 4;
const FENCES: u32 = 8;
const DRAINS_REQUESTS: u32 = 16; // to pages

@unmanaged
class Wait {
  number: u64;
  address: u64;
  data: u64;
  does: u32;
}
@unmanaged
class State {
  fetched: u64; // commands so far
  waits: u32; //   that are not complete
  fenced: u32; //  one of them fences
  stalled: u32; // the head waits for an ITag, and has been counted
  waited: u32; //  the last command was a wait
}

let state: State = changetype<State>(0);
let waits: usize = 0; // Wait[slots of the ring], oldest first
let hand: usize = 0; //  words of the command that is being carried out

// The command in hand; derived from its words, so it is no state.
let what: u32 = 0;
let firstPage: u64 = 0;
let lastPage: u64 = 0;
let price: u32 = 0;
let counter: u32 = 0;

export function initIommu(): void {
  state = changetype<State>(region(offsetof<State>()));
  waits = region(<usize>slotCount() * offsetof<Wait>());
  hand = region(32);
}
export function swapIommu(): void {
  state = swap(state);
  waits = swap(waits);
  hand = swap(hand);
}
@inline
function isAmd(): bool {
  return setting(SET_COMMANDS) != 0;
}
@inline
function wait(index: u32): Wait {
  return changetype<Wait>(waits + <usize>index * offsetof<Wait>());
}

// ---- what a command says ----

function decode(at: usize): void {
  decodeCommand(at, isAmd());
  what =
    does == DOES_WAIT ? IS_WAIT
    : does == DOES_DEVICE_TLB ? IS_DEVICE
    : does == DOES_RESPONSE ? IS_RESPONSE
    : does == DOES_TRANSLATIONS || does == DOES_ALL ? IS_IOTLB
    : IS_TABLE;
  price = COST_INV_PAGE;
  counter = N_PASID_ENTRY; // in the log, of any command about tables
  if (what == IS_WAIT || what == IS_TABLE || what == IS_RESPONSE) return;
  span(scopePage, pageOrder);
  if (setting(SET_DMA) != 0 && (what == IS_DEVICE || scopeDomain != ANY)) {
    place(what == IS_DEVICE ? spaceOf(scopeSource) : scopeDomain - DOMAIN);
  }
  if (pageOrder < ORDER_ALL) {
    counter = pageOrder != 0 ? N_IOTLB_RANGE : N_IOTLB_PAGE;
  } else if (scopeDomain == ANY) {
    price = COST_INV_GLOBAL;
    counter = N_IOTLB_GLOBAL;
  } else if (scopePasid == ANY || scopePasid == NO_PASID) {
    price = COST_INV_DOMAIN;
    counter = N_IOTLB_DOMAIN;
  } else {
    price = COST_INV_PASID;
    counter = N_IOTLB_PASID;
  }
}

function span(first: u64, order: u32): void {
  firstPage = first;
  lastPage = order >= ORDER_ALL ? u64.MAX_VALUE : first + (<u64>1 << order) - 1;
}
/** Puts the span into the page numbers of a domain. */
function place(space: u32): void {
  const base = <u64>space << SPACE_PAGES_LG2;
  lastPage = lastPage == u64.MAX_VALUE ? base + ((<u64>1 << SPACE_PAGES_LG2) - 1) : base + lastPage;
  firstPage += base;
}

/** Space of a source; of one that is not there, any. */
function spaceOf(source: u32): u32 {
  const device = source - SOURCE;
  return device < deviceCount ? spaceOfDevice(device) : 0;
}

// ---- the processor ----

/** One turn, with those that follow at once. */
export function stepIommu(hardware: Agent): void {
  const now = hardware.clock;
  do turn(hardware);
  while (hardware.clock == now && staysNext(hardware) && !isStepwise());
  // It would find nothing to do in its next turn; whoever gives it something rouses it.
  if (hardware.phase == READY && hardware.state == RUNNABLE && isIdle() && !isStepwise()) rest(hardware);
}
@inline
function isIdle(): bool {
  return state.waits == 0 && !submitted() && !isLate();
}
/** The effect of what is in hand, or the next thing to do. */
function turn(hardware: Agent): void {
  const phase = hardware.phase;
  hardware.phase = READY;
  if (phase == SERVE) carryOut(hardware);
  else if (phase == COMPLETE) completeWait(hardware);
  else if (isLate()) timeOut(hardware.clock);
  else if (state.waits != 0 && isComplete(wait(0))) {
    hardware.phase = COMPLETE;
    spend(hardware, CAUSE_IDLE, cost(COST_WAIT));
  } else if (state.fenced != 0 || state.waits == slotCount() || halted() || !submitted() || !begin(hardware)) rest(hardware);
}

/** Whether all that a wait waits for is done. */
function isComplete(first: Wait): bool {
  return first.number < oldestPending() && ((first.does & DRAINS_REQUESTS) == 0 || !requestsTravel());
}

/**
 * Whether what the processor does next is seen by nobody but by who waits for it: all but the effect of an invalidation of
 * its own caches, a page response, which may come to another group than was meant, and a time-out.
 */
export function isQuiet(hardware: Agent): bool {
  return hardware.phase == COMPLETE || (hardware.phase == READY && !isLate() && !responds());
}

/** Whether the command at the head is a page response. */
function responds(): bool {
  if (!hasPri() || !submitted()) return false;
  decodeCommand(slotAt(headSlot()), isAmd());
  return does == DOES_RESPONSE;
}

/** Fetches the command at the head and starts it. Returns whether it could. */
function begin(hardware: Agent): bool {
  const at = slotAt(headSlot());
  const caps = setting(SET_CAPS);
  const error = isAmd() ? amdError(at, caps) : vtdError(at, slotBytes() << 3, caps);
  if (error != 0) {
    decode(at);
    note(LOG_COMMAND, hardware.id, logged(), COMMAND_REFUSED, 0, hardware.clock, headSlot());
    reject(iqeiOf(error), hardware.clock);
    return false;
  }
  decode(at);
  if (what == IS_DEVICE && !itagFree(scopeSource, depth)) {
    if (state.stalled == 0) countStall();
    state.stalled = 1;
    return false;
  }
  state.stalled = 0;
  state.fetched++;
  note(LOG_COMMAND, hardware.id, logged(), COMMAND_FETCHED, 0, hardware.clock, headSlot());
  state.waited = what == IS_WAIT ? 1 : 0;
  if (what == IS_WAIT) {
    note(LOG_COMMAND, hardware.id, N_WAIT, COMMAND_SENT, 0, hardware.clock, <u32>state.fetched);
    if (isAmd()) addAmdWait(at);
    else addVtdWait(at);
  } else if (what == IS_DEVICE) {
    if (scopeSource - SOURCE < deviceCount) countFor(scopeSource - SOURCE);
    bump(N_DEVICE_TLB);
    countForAll();
    sendRequest(state.fetched, scopeSource, firstPage, lastPage, hardware.clock);
  } else if (what == IS_RESPONSE) {
    bump(N_PAGE_RESPONSES);
    if (isAmd()) answerGroup(amdResponseGroup(at), amdResponseCode(at), hardware.clock);
    else answerGroup(vtdResponseGroup(at), vtdResponseCode(at), hardware.clock);
  } else {
    for (let i: usize = 0; i < slotBytes(); i += 8) store<u64>(hand + i, load<u64>(at + i));
    hardware.phase = SERVE;
    spend(hardware, CAUSE_IDLE, cost(price));
  }
  advanceHead(hardware.clock);
  return true;
}
/** The counter that stands for the command in hand. */
@inline
function logged(): u32 {
  return what == IS_WAIT ? N_WAIT : what == IS_DEVICE ? N_DEVICE_TLB : what == IS_RESPONSE ? N_PAGE_RESPONSES : counter;
}
/** The head stays on a command that is invalid, and nothing is fetched until software has seen to it. */
function reject(reason: u32, now: u64): void {
  if (isAmd()) {
    logEvent(EVENT_ILLEGAL_COMMAND, 0, <u64>headSlot() * slotBytes());
    registers.status &= ~STATUS_COMMAND_RUN;
  } else raiseInvalid(reason);
  alert(now);
}

/** The effect of what is in hand. */
function carryOut(hardware: Agent): void {
  decode(hand);
  clear(hand, slotBytes());
  // AMD's guest translations take the entry of the GCR3 table along (Linux 4.14 drivers/iommu/amd_iommu.c __set_gcr3).
  if (does == DOES_PASIDS || (isAmd() && what == IS_IOTLB && pageOrder >= ORDER_ALL)) {
    dropEntry();
    dropPasids();
  }
  if (what != IS_IOTLB && does != DOES_PASIDS) return;
  const now = hardware.clock;
  note(LOG_COMMAND, hardware.id, counter, COMMAND_DONE, 0, now);
  bump(counter);
  if (does == DOES_PASIDS) return;
  const spaces = sharesDomains() && lastPage != u64.MAX_VALUE ? setting(SET_SPACES) : 0;
  if (spaces == 0) drop(firstPage, lastPage, now);
  const base = (firstPage >> SPACE_PAGES_LG2) << SPACE_PAGES_LG2;
  for (let space: u32 = 0; space < spaces; space++) {
    const start = <u64>space << SPACE_PAGES_LG2;
    drop(start + firstPage - base, start + lastPage - base, now);
  }
}
/** Drops translations of pages, those too that are on their way to the IOTLB. */
function drop(first: u64, last: u64, now: u64): void {
  dropIotlb(first, last, now);
  if (!leafOnly) dropTables(first, last);
  squash(first, last, ALL_DEVICES);
  // With ATS the device answers for what it was given.
  if (drains && setting(SET_ATS) == 0) drain(state.fetched, first, last);
}

function addVtdWait(at: usize): void {
  const does = (vtdWaitWrites(at) ? WRITES : 0) | (vtdWaitInterrupt(at) ? INTERRUPTS : 0) | (vtdWaitFence(at) ? FENCES : 0) | (vtdWaitDrains(at) ? DRAINS_REQUESTS : 0);
  addWait(does, vtdWaitAddress(at), vtdWaitData(at));
}
function addAmdWait(at: usize): void {
  const does =
    (amdWaitStores(at) ? WRITES | WRITES_WIDE : 0) | (amdWaitInterrupt(at) ? INTERRUPTS : 0) | (amdWaitFence(at) ? FENCES : 0);
  addWait(does, amdWaitStore(at), amdWaitData(at));
}
function addWait(does: u32, address: u64, data: u64): void {
  const last = wait(state.waits++);
  last.number = state.fetched;
  last.does = does;
  last.address = address;
  last.data = data;
  if ((does & FENCES) != 0) state.fenced = 1;
}

/** The oldest wait completes: first its write, then its interrupt. */
function completeWait(hardware: Agent): void {
  const now = hardware.clock;
  const done = wait(0);
  note(LOG_COMMAND, hardware.id, N_WAIT, COMMAND_DONE, 0, now, <u32>done.number);
  const does = done.does;
  bump(N_WAIT);
  if ((does & WRITES) != 0) writeStatus(done.address, done.data, (does & WRITES_WIDE) != 0 ? 8 : 4, now);
  if ((does & INTERRUPTS) != 0) raiseWaited(isAmd());
  if ((does & FENCES) != 0) state.fenced = 0;
  state.waits--;
  if (state.waits != 0) memory.copy(waits, waits + offsetof<Wait>(), <usize>state.waits * offsetof<Wait>());
  clear(changetype<usize>(wait(state.waits)), offsetof<Wait>());
}

/**
 * A device did not answer. VT-d aborts all waits that are not complete, and fetches nothing until software has cleared the
 * error; AMD logs it, and the command counts as done.
 */
function timeOut(now: u64): void {
  const late = giveUp();
  if (isAmd()) {
    logEvent(EVENT_IOTLB_TIMEOUT, late, 0);
    return;
  }
  registers.fsts |= FSTS_ITE;
  registers.itesid = late;
  add(N_ABORTED, state.waits);
  for (let i: u32 = 0; i < state.waits; i++) {
    if ((wait(i).does & WRITES) != 0) abortStatus(wait(i).address, now);
  }
  // No wait was there to abort, but somebody polls for one that has not been fetched.
  if (state.waits == 0 && isPolled()) clearFaults(FSTS_ITE);
  state.waits = 0;
  state.fenced = 0;
}

/** Whether nothing is left to do, and the last command was a wait: before the queue is turned off it must be so. */
export function isDrained(): bool {
  return !submitted() && state.waits == 0 && state.waited != 0;
}
/** Software writes the tail register, in bytes. */
export function writeTail(bytes: u32): void {
  if (bytes >= slotCount() * slotBytes()) raiseInvalid(IQEI_TAIL);
  else if (bytes % slotBytes() != 0) raiseInvalid(IQEI_ALIGNMENT);
  else setTail(bytes / slotBytes());
}

// Invalidations that have been started and are not complete, oldest first: ATS requests on their way to a device, at the
// device, or answered, each under an ITag (PCIe ATS 10.3); drains of accesses that the IOMMU has translated. The link to
// the devices is an agent: it takes the next step of the request that is due first.
import { swap } from './bank';
import { Agent, agent, block, BLOCKED, bringForward, MAX_AGENTS, spend, wake } from './clock';
import { bump, countFor, countForAll, N_DEVICE_TLB, N_ITAG_STALLS, N_STRANGE } from './counters';
import { hazard, HAZARD_COMPLETION_BEFORE_POSTED_WRITES, HAZARD_OVERTAKING_COMPLETION } from './hazard';
import { clear, cost, region, setting, settingU64 } from './layout';
import { COMMAND_ARRIVES, COMMAND_DONE, COMMAND_SENT, LOG_COMMAND, note } from './log';
import { CAUSE_IDLE, COST_INV_DEVICE, SET_COMMANDS, SET_LOSES, SET_REPEATS, SET_RING, SET_SPACES, SET_STEPWISE, SET_TIMEOUT } from './ops';
import { raiseStrange } from './registers';
import { rouse } from './ring';
import { SOURCE } from './command';
import { AT_DEVICE, flight, flightCount, flightsInUse, ON_ITS_WAY, SQUASHED_FILL, SQUASHED_WALK } from './places';
import { deviceCount, deviceOf, deviceTlb, dropCopies } from './space';
import { isNamed } from './table';

/** ITags of a device: five bits. */
export const ITAGS: u32 = 32;
export const ALL_DEVICES: u32 = 0xffff_ffff;
const NEVER: u64 = u64.MAX_VALUE;

// What an invalidation waits for.
const LANDINGS: u32 = 0; // of accesses that the IOMMU has translated
const ARRIVAL: u32 = 1; //  of the request at the device
const DEVICE: u32 = 2; //   landings of accesses that the device has translated
const ANSWER: u32 = 3; //   on its way back
const TIMEOUT: u32 = 4; //  the device has lost it
const HANDLING: u32 = 5; // the time is over, and the IOMMU has to see to it

@unmanaged
class Pending {
  number: u64; // of the command, in order of their fetches
  due: u64; //    when its next step is
  first: u64; //  page numbers
  last: u64;
  waits: u64; //  places in flight whose landings it waits for, a bit each
  source: u32;
  itag: u32;
  state: u32;
}
const BYTES: usize = offsetof<Pending>();

@unmanaged
class State {
  count: u32;
  requests: u32; // sent since the last one that was lost
  late: u32; //     requests in the state HANDLING
  answers: u32; //  since the last one that came twice
}

let all: usize = 0; // Pending[]
let state: State = changetype<State>(0);
let hardware: u32 = 0;
let link: u32 = 0;

export function initPending(hardwareAgent: u32, linkAgent: u32): void {
  hardware = hardwareAgent;
  link = linkAgent;
  // A wait holds back whatever submits more: no more drains than slots, in each domain, no more requests than ITags.
  // In a race nobody submits before the slots of what he has submitted have come back.
  const most = setting(SET_RING) * max<u32>(1, setting(SET_SPACES)) + (setting(SET_STEPWISE) != 0 ? 0 : ITAGS * deviceCount);
  all = region(<usize>most * BYTES);
  state = changetype<State>(region(offsetof<State>()));
  assert(flightCount <= 64 && MAX_AGENTS <= 64);
  block(agent(link), CAUSE_IDLE);
}
export function swapPending(): void {
  all = swap(all);
  state = swap(state);
  hardware = swap(hardware);
  link = swap(link);
}
@inline
function pending(index: u32): Pending {
  return changetype<Pending>(all + <usize>index * BYTES);
}

/** Number of the oldest command that is not complete; the largest number if all are. */
@inline
export function oldestPending(): u64 {
  return state.count == 0 ? NEVER : pending(0).number;
}
/** Whether one more request may go to the device, `limit` being what the command allows. */
export function itagFree(source: u32, limit: u32): bool {
  let taken: u32 = 0;
  for (let i: u32 = 0; i < state.count; i++) taken += isRequest(pending(i), source) ? 1 : 0;
  return taken < min(limit, ITAGS);
}
@inline
function isRequest(held: Pending, source: u32): bool {
  return held.state != LANDINGS && held.source == source;
}
export function countStall(): void {
  bump(N_ITAG_STALLS);
}

function add(number: u64, first: u64, last: u64): Pending {
  const held = pending(state.count++);
  held.number = number;
  held.first = first;
  held.last = last;
  return held;
}

/** Sends an ATS invalidate request under a free ITag. */
export function sendRequest(number: u64, source: u32, first: u64, last: u64, now: u64): void {
  let taken: u32 = 0;
  for (let i: u32 = 0; i < state.count; i++) {
    if (isRequest(pending(i), source)) taken |= <u32>1 << pending(i).itag;
  }
  note(LOG_COMMAND, hardware, N_DEVICE_TLB, COMMAND_SENT, 0, now, <u32>number);
  const held = add(number, first, last);
  held.source = source;
  held.itag = <u32>ctz(~taken);
  held.waits = 0;
  const loses = setting(SET_LOSES);
  if (loses != 0) state.requests = (state.requests + 1) % loses;
  const lost = loses != 0 && state.requests == 0;
  held.state = lost ? TIMEOUT : ARRIVAL;
  held.due = !lost ? now + half() : settingU64(SET_TIMEOUT) == 0 ? NEVER : now + settingU64(SET_TIMEOUT);
  wakeAt(held.due);
}
@inline
function half(): u64 {
  return cost(COST_INV_DEVICE) / 2;
}

/** Waits for the landings of what the IOMMU has translated for these pages, if there are any. */
export function drain(number: u64, first: u64, last: u64): void {
  const waits = using(first, last, ALL_DEVICES, ON_ITS_WAY);
  if (waits == 0) return;
  const held = add(number, first, last);
  held.state = LANDINGS;
  held.waits = waits;
  held.due = NEVER;
}
/** Places in flight, of one device or of all, that have a translation of these pages. */
function using(first: u64, last: u64, device: u32, far: u32): u64 {
  let places: u64 = 0;
  for (let left = flightsInUse(); left != 0; left &= left - 1) {
    const i = <u32>ctz(left);
    const held = flight(i);
    if (held.holds < far || (device != ALL_DEVICES && deviceOf(i) != device)) continue;
    if (isNamed(held.page - 1, first, last)) places |= <u64>1 << i;
  }
  return places;
}

/** The access in a place has landed, or was denied. */
export function landed(place: u32, now: u64): void {
  const bit = <u64>1 << place;
  for (let i: u32 = 0; i < state.count; ) {
    const held = pending(i);
    if ((held.waits & bit) != 0) {
      held.waits &= ~bit;
      if (held.waits == 0) {
        if (held.state == LANDINGS) {
          complete(i, now);
          continue;
        }
        answer(held, now);
      }
    }
    i++;
  }
}
function answer(held: Pending, now: u64): void {
  held.state = ANSWER;
  held.due = now + half();
  wakeAt(held.due);
}
/** The command is complete; others may have waited for that. */
function complete(index: u32, now: u64): void {
  remove(index);
  rouse(agent(hardware), now);
}
function remove(index: u32): void {
  state.count--;
  const at = all + <usize>index * BYTES;
  if (state.count != index) memory.copy(at, at + BYTES, <usize>(state.count - index) * BYTES);
  clear(all + <usize>state.count * BYTES, BYTES);
}

/** A device that is at fault sends every so-manieth answer twice: the second is to nothing. AMD's IOMMU ignores that. */
function repeat(source: u32): void {
  const every = setting(SET_REPEATS);
  if (every == 0) return;
  state.answers = (state.answers + 1) % every;
  if (state.answers != 0) return;
  bump(N_STRANGE);
  if (setting(SET_COMMANDS) == 0) raiseStrange(source);
}

// ---- the link ----

/** The link has something to do at `due`, perhaps before what it sleeps for. */
function wakeAt(due: u64): void {
  if (due == NEVER) return;
  const who = agent(link);
  if (who.state == BLOCKED) wake(who, due);
  else if (who.clock > due) bringForward(who, CAUSE_IDLE, due);
}
/** Index of what is due first, the oldest of several; or -1. */
function next(): i32 {
  let first: i32 = -1;
  let due = NEVER;
  for (let i: u32 = 0; i < state.count; i++) {
    if (pending(i).due >= due) continue;
    due = pending(i).due;
    first = <i32>i;
  }
  return first;
}

/** Whether the link has nothing to do next but to bring an answer. */
export function onlyAnswers(): bool {
  const index = next();
  return index < 0 || pending(index).state == ANSWER;
}
/** Whether what the link does next is to find that the time of a request is over. */
export function timesOut(): bool {
  const index = next();
  return index >= 0 && pending(index).state == TIMEOUT;
}
/** One turn of the link: one step of one request. */
export function stepLink(who: Agent): void {
  const index = next();
  if (index >= 0 && pending(index).due <= who.clock) advance(<u32>index, who.clock);
  const later = next();
  if (later < 0) block(who, CAUSE_IDLE);
  else spend(who, CAUSE_IDLE, pending(later).due - who.clock);
}
function advance(index: u32, now: u64): void {
  const held = pending(index);
  if (held.state == ANSWER) {
    note(LOG_COMMAND, link, N_DEVICE_TLB, COMMAND_DONE, 0, now, <u32>held.number);
    repeat(held.source);
    complete(index, now);
    return;
  }
  held.due = NEVER;
  if (held.state == TIMEOUT) {
    held.state = HANDLING;
    state.late++;
    rouse(agent(hardware), now);
    return;
  }
  assert(held.state == ARRIVAL);
  held.state = DEVICE;
  note(LOG_COMMAND, link, N_DEVICE_TLB, COMMAND_ARRIVES, 0, now, <u32>held.number);
  // What matches is used no more; translations on their way must not be kept; what uses one lands first.
  const device = held.source - SOURCE;
  if (device < deviceCount) {
    countFor(device);
    dropCopies(deviceTlb(device), held.first, held.last, now);
    countForAll();
    const overtaken = hazard(HAZARD_OVERTAKING_COMPLETION);
    if (!overtaken) squash(held.first, held.last, device);
    const lands = !hazard(HAZARD_COMPLETION_BEFORE_POSTED_WRITES);
    held.waits = lands ? using(held.first, held.last, device, overtaken ? AT_DEVICE : ON_ITS_WAY) : 0;
  }
  if (held.waits == 0) answer(held, now);
}

/** Translations of these pages that are asked for must not get into the TLB of the device; of all: into the IOTLB. */
export function squash(first: u64, last: u64, device: u32): void {
  for (let left = flightsInUse(); left != 0; left &= left - 1) {
    const i = <u32>ctz(left);
    const held = flight(i);
    if (held.page == 0 || (device != ALL_DEVICES && deviceOf(i) != device)) continue;
    if (isNamed(held.page - 1, first, last)) held.squashed |= device == ALL_DEVICES ? SQUASHED_WALK : SQUASHED_FILL;
  }
}

// ---- time-out ----

/** Whether a device did not answer in time, and the IOMMU has not seen to it. */
@inline
export function isLate(): bool {
  return state.late != 0;
}
/** Gives the oldest such request up; returns its device. */
export function giveUp(): u32 {
  for (let i: u32 = 0; i < state.count; i++) {
    if (pending(i).state != HANDLING) continue;
    const source = pending(i).source;
    remove(i);
    state.late--;
    return source;
  }
  return 0;
}
/** A device answers under an ITag: whether it was asked to. The answers of this model's devices always are. */
export function isAsked(source: u32, itag: u32): bool {
  for (let i: u32 = 0; i < state.count; i++) {
    if (isRequest(pending(i), source) && pending(i).itag == itag) return true;
  }
  return false;
}

// A device's side of PCIe PRI, of each behind an IOMMU: an access whose translation request was answered with R = W = 0 asks for its page. Requests go
// in groups with one index (PRGI), the last one marked (LPIG); one response answers the group. So many may be outstanding.
//
// A group is sent when it is full, or when no other is out: what comes meanwhile gathers (assumed). What a response said is there
// and is not is asked for again after a back-off, so that a full queue is not asked for ever. A group of several that is answered `invalid` is
// asked for again one by one, so that one bad page denies none of the others (assumed).
import { swap } from './bank';
import { Agent, agent, block, BLOCKED, spend, wake } from './clock';
import { SOURCE } from './command';
import { bump, N_AUTO_ANSWERS, N_PAGE_REQUESTS, N_PRI_GROUPS, N_PRQ_DROPPED } from './counters';
import { clear, cost, region, setting } from './layout';
import { CAUSE_PAGE_REQUEST, COST_PRI_BACKOFF, COST_TRANSLATION, SET_DEVICES, SET_OUTSTANDING, SET_PRI, SET_PRI_GROUP, SET_PRQ_ANSWERS } from './ops';
import { ASKS_TO_READ, ASKS_TO_WRITE, IS_FULL, IS_OFF, putRequest, TAKEN } from './prq';
import { rouse } from './ring';

/** Response codes, the same in VT-d, AMD and PCIe 10.4.2. */
export const SUCCESS: u32 = 0;
export const INVALID: u32 = 1;
export const FAILURE: u32 = 15;

// What has become of a request after a turn.
export const IS_ASKING: u32 = 0;
export const IS_GRANTED: u32 = 1; // the device asks for the translation anew
export const IS_REFUSED: u32 = 2;
export const IS_DROPPED: u32 = 3; // the device has stopped

// States of a place.
const NONE: u32 = 0;
const BACKS_OFF: u32 = 1;
const WANTS: u32 = 2; //  not sent
const SENT: u32 = 3; //   on its way to the IOMMU
const WAITS: u32 = 4; //  for the response
const ANSWERED: u32 = 5; // it is on its way back
const DROPPED: u32 = 6; //  nobody wants to know

@unmanaged
class Asker {
  ticket: u64; // first come, first sent
  state: u32;
  group: u32;
  code: u32; //  of the response
  again: u32; // 1: it was told before that the page is there
  alone: u32; // 1: it goes in a group of its own
  gone: u32; //  1: sent before the device stopped
}
@unmanaged
class Group {
  size: u32; //     0: the index is free
  left: u32; //     members that have not heard of the response
  last: u32; //     place whose request is the last one
  complete: u32; // 1: that one has come to the IOMMU
  answered: u32;
}
@unmanaged
class State {
  outstanding: u32;
  disabled: u32; // 1: a response said failure
  stopping: u32; // PASID + 1 whose stop marker is not sent
}

let askers: usize = 0; // Asker[places]
let groups: usize = 0; // Group[places], as many of each device; an index says whose it is
let states: usize = 0; // State[devices]
let places: u32 = 0;
let each: u32 = 0; //   of a device
let first: u32 = 0; //   agent of place 0
let hardware: u32 = 0; // agent of the IOMMU

export function initPri(firstAgent: u32, hardwareAgent: u32): void {
  first = firstAgent;
  hardware = hardwareAgent;
  const devices = max<u32>(1, setting(SET_DEVICES));
  places = setting(SET_OUTSTANDING);
  each = places / devices;
  askers = region(<usize>places * offsetof<Asker>());
  groups = region(<usize>places * offsetof<Group>());
  states = region(<usize>devices * offsetof<State>());
}
export function swapPri(): void {
  askers = swap(askers);
  groups = swap(groups);
  states = swap(states);
  places = swap(places);
  each = swap(each);
  first = swap(first);
  hardware = swap(hardware);
}
/** Whether page requests go through their queue. If not, each is served by itself. */
@inline
export function hasPri(): bool {
  return setting(SET_PRI) != 0;
}
@inline
function asker(place: u32): Asker {
  return changetype<Asker>(askers + <usize>place * offsetof<Asker>());
}
@inline
function group(index: u32): Group {
  return changetype<Group>(groups + <usize>index * offsetof<Group>());
}
/** Of the device of a place, or of a group's index. */
@inline
function stateOf(place: u32): State {
  return changetype<State>(states + <usize>(place / each) * offsetof<State>());
}
/** Whom the response to a group is sent to. */
export function sourceOf(group: u32): u32 {
  return SOURCE + group / each;
}
@inline
function half(): u64 {
  return cost(COST_TRANSLATION) / 2;
}

/** One turn of an access that needs a page: IS_*. The agent may be blocked afterwards. */
export function stepRequest(who: Agent, pasid: u32, vpn: u64, write: bool): u32 {
  const place = who.id - first;
  const mine = asker(place);
  const state = stateOf(place);
  if (mine.state == NONE && state.disabled == 0 && mine.again != 0) {
    mine.state = BACKS_OFF;
    spend(who, CAUSE_PAGE_REQUEST, cost(COST_PRI_BACKOFF));
    return IS_ASKING;
  }
  if (mine.state == SENT) return arrive(place, who, pasid, vpn, write);
  if (mine.state == DROPPED) return IS_DROPPED;
  if (mine.state == ANSWERED) {
    const size = leave(mine);
    if (mine.code == SUCCESS) {
      mine.again = 1;
      return IS_GRANTED;
    }
    if (mine.code == FAILURE) state.disabled = 1;
    if (mine.code == INVALID && size > 1) mine.alone = 1;
    else return IS_REFUSED;
  }
  if (state.disabled != 0) {
    mine.state = NONE;
    return IS_REFUSED;
  }
  mine.state = WANTS;
  mine.ticket = lastTicket(firstOf(place)) + 1;
  block(who, CAUSE_PAGE_REQUEST);
  return IS_ASKING;
}
/** The first place of a device that has a place. */
@inline
function firstOf(place: u32): u32 {
  return place - (place % each);
}
/** The last ticket of a device's that wait to be sent. */
function lastTicket(from: u32): u64 {
  let last: u64 = 0;
  for (let i = from; i < from + each; i++) if (asker(i).state == WANTS) last = max(last, asker(i).ticket);
  return last;
}
/** Whether an access has come so far as to ask for its page. */
@inline
export function isAsking(place: u32): bool {
  return hasPri() && asker(place).state != NONE;
}
/** The access is over. */
export function forgetRequest(place: u32): void {
  clear(changetype<usize>(asker(place)), offsetof<Asker>());
}

/** A member of a group has its response; returns how many it had. */
function leave(mine: Asker): u32 {
  const all = group(mine.group);
  const size = all.size;
  mine.state = NONE;
  stateOf(mine.group).outstanding--;
  all.left--;
  if (all.left == 0) clear(changetype<usize>(all), offsetof<Group>());
  return size;
}

/** The device that has a place sends what groups it can. */
export function sendGroups(place: u32, now: u64): void {
  const state = stateOf(place);
  const from = firstOf(place);
  while (true) {
    const oldest = next(from, 0, false);
    if (oldest < 0) return;
    if (state.disabled != 0) {
      asker(oldest).state = NONE;
      wake(agent(first + oldest), now);
      continue;
    }
    const alone = asker(oldest).alone != 0;
    const most: u32 = alone ? 1 : min(setting(SET_PRI_GROUP), setting(SET_PRI));
    const size: u32 = alone ? 1 : min(most, wanting(from));
    if (size < most && state.outstanding != 0) return;
    if (state.outstanding + size > setting(SET_PRI)) return;
    send(<u32>oldest, size, now);
  }
}
/** The place of a device that has waited longest to be sent, behind a ticket; or -1. `together`: of those that need not go alone. */
function next(from: u32, behind: u64, together: bool): i32 {
  let found: i32 = -1;
  for (let i = from; i < from + each; i++) {
    const one = asker(i);
    if (one.state != WANTS || one.ticket <= behind || (together && one.alone != 0)) continue;
    if (found < 0 || one.ticket < asker(found).ticket) found = <i32>i;
  }
  return found;
}
function wanting(from: u32): u32 {
  let count: u32 = 0;
  for (let i = from; i < from + each; i++) if (asker(i).state == WANTS && asker(i).alone == 0) count++;
  return count;
}
/** All that go together reach the IOMMU at one time, in the order of their places. */
function send(oldest: u32, size: u32, now: u64): void {
  const from = firstOf(oldest);
  let index = from;
  while (group(index).size != 0) index++;
  const all = group(index);
  all.size = all.left = size;
  stateOf(oldest).outstanding += size;
  bump(N_PRI_GROUPS);
  let place = oldest;
  for (let i: u32 = 0; i < size; i++) {
    if (i != 0) place = <u32>next(from, asker(place).ticket, true);
    const one = asker(place);
    one.state = SENT;
    one.group = index;
    all.last = max(all.last, place);
    wake(agent(first + place), now);
    spend(agent(first + place), CAUSE_PAGE_REQUEST, half());
  }
}

/** A request is at the IOMMU. */
function arrive(place: u32, who: Agent, pasid: u32, vpn: u64, write: bool): u32 {
  const mine = asker(place);
  const all = group(mine.group);
  const last = all.last == place;
  bump(N_PAGE_REQUESTS);
  mine.state = WAITS;
  if (last) all.complete = 1;
  const asks = ASKS_TO_READ | (write ? ASKS_TO_WRITE : 0);
  const outcome = putRequest(pasid, vpn, asks, mine.group, last, who.clock);
  if (mine.gone != 0) {
    leave(mine);
    sendMarker(who.clock);
    return IS_DROPPED;
  }
  block(who, CAUSE_PAGE_REQUEST);
  rouse(agent(hardware), who.clock);
  if (outcome == TAKEN) return IS_ASKING;
  if (!last || (outcome == IS_FULL && setting(SET_PRQ_ANSWERS) == 0)) {
    bump(N_PRQ_DROPPED);
    return IS_ASKING;
  }
  // Full: the IOMMU itself says success, so that the device asks again, if it does that. Off: failure.
  bump(N_AUTO_ANSWERS);
  answerGroup(mine.group, outcome == IS_OFF ? FAILURE : SUCCESS, who.clock);
  return IS_ASKING;
}

/**
 * The IOMMU sends the response to a group. One that is not complete, or is answered already, was not meant: its index was that
 * of an earlier group, whose response was submitted twice.
 */
export function answerGroup(index: u32, code: u32, now: u64): void {
  if (!hasPri() || index >= places) return;
  const all = group(index);
  if (all.complete == 0 || all.answered != 0) return;
  all.answered = 1;
  for (let i: u32 = 0; i < places; i++) {
    const one = asker(i);
    if (one.state != WAITS || one.group != index) continue;
    one.state = ANSWERED;
    one.code = code;
    wake(agent(first + i), now);
    spend(agent(first + i), CAUSE_PAGE_REQUEST, half());
  }
}

// ---- PASID stop ----

/**
 * The device, alone behind the IOMMU, stops using a PASID. It waits for no response any more, and says so by a stop marker behind what it has sent
 * (PCIe 10.4.1.2).
 */
export function stopRequests(pasid: u32, now: u64): void {
  for (let i: u32 = 0; i < places; i++) {
    const one = asker(i);
    if (one.state == SENT) one.gone = 1;
    if (one.state == NONE || one.state == SENT) continue;
    if (one.state == WAITS || one.state == ANSWERED) leave(one);
    one.state = DROPPED;
    if (agent(first + i).state == BLOCKED) wake(agent(first + i), now);
  }
  stateOf(0).stopping = pasid + 1;
  sendMarker(now);
}
/** Requests stay in order: the marker comes to the IOMMU behind them. */
function sendMarker(now: u64): void {
  const state = stateOf(0);
  if (state.stopping == 0 || requestsTravel()) return;
  putRequest(state.stopping - 1, 0, 0, 0, true, now);
  state.stopping = 0;
  rouse(agent(hardware), now);
}
/** Whether a request is on its way to the IOMMU. */
export function requestsTravel(): bool {
  if (!hasPri()) return false;
  for (let i: u32 = 0; i < places; i++) if (asker(i).state == SENT) return true;
  return false;
}

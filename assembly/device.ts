// A device takes work off its queue in order. It is active and idle by turns; work posted while it is idle waits. Behind one
// IOMMU there may be several of a kind, which work on the same space: each has a TLB, a queue and places in flight of its own.
import { banks, beginSwap, KEPT_BYTES, swap } from './bank';
import { acquire, Agent, agent, agentCount, block, BLOCKED, release, spend, turnBack, wake } from './clock';
import { select } from './consumers';
import { addDeviceCounters, bump, N_DMA_LATE } from './counters';
import { launch, swapFlights } from './flight';
import { swapHandler } from './handler';
import { hazard, HAZARD_TRANSLATED_WHILE_IDLE } from './hazard';
import { cost, region, setting, settingU64 } from './layout';
import {
  CAUSE_ACTIVATE, CAUSE_DEVICE, CAUSE_IDLE, COST_ACTIVATE, COST_DEVICE_THINK, SET_ACTIVE, SET_DEVICE, SET_IDLE, SET_LATE_RECORDS,
  SET_LATE_SHARE, SET_PAGES, SET_POSTS, SET_SEED,
} from './ops';
import { activate, deactivate } from './pasid';
import { flightCount, freePlace, takenOf } from './places';
import { swapPri } from './pri';
import { swapPrq } from './prq';
import { exponential, seedState } from './random';
import { takeUnmapped } from './recent';
import { deviceCount } from './space';
import { swapWorkqueue } from './workqueue';

// Phases.
const ACTIVE: u32 = 0;
const IDLE: u32 = 1;
const START: u32 = 2;

@unmanaged
class Issuer {
  ends: u64; //   of its active phase
  naps: u64; //   1 + since when it sleeps until then, or 0
  head: u32; //   of its queue
  tail: u32;
  issued: u32;
  late: u32; //   of those
  draws: u32; //  state of its generator
  room: u32; //   slots of its queue in use so far, a power of two
}
/** Between the seeds of the devices behind one IOMMU: model/run.ts DEVICE_SEED_STEP. */
const SEED_STEP: u32 = 256;

let issuers: usize = 0; // Issuer[deviceCount]
let queues: usize = 0; //  u32[deviceCount][slots]: page << 1 | write
let heard: usize = 0; //   u32[deviceCount][slots][agentCount]: what the poster knew
let worked: usize = 0; //  u8[deviceCount][pages]: the device has worked on it
let first: u32 = 0; //     agent of device 0
let places: u32 = 0; //    in flight, of each
let slots: u32 = 0; //     of each queue, a power of two; posts are counted by the host and dealt out in turn, so that there is always room
/** Slots that a queue begins with. It takes more, and with them real memory, as more waits at a time. */
const FIRST_ROOM: u32 = 16;

// Of several consumers: whose devices are in hand, those of the others, and how much has been posted to all.
let attended: u32 = 0;
const kept: usize = memory.data(KEPT_BYTES);
let posted: u32 = 0;

/** Takes a consumer in hand with its devices. */
export function attend(next: u32): void {
  select(next);
  if (next == attended) return;
  beginSwap(kept, attended, next);
  swapFlights();
  swapPri();
  swapPrq();
  swapHandler();
  swapWorkqueue();
  issuers = swap(issuers);
  queues = swap(queues);
  heard = swap(heard);
  worked = swap(worked);
  first = swap(first);
  places = swap(places);
  slots = swap(slots);
  attended = next;
}
export function resetDevices(): void {
  attended = posted = 0;
}

/** The devices of the consumer in hand, whose agents follow one another. */
export function initDevices(firstAgent: u32): void {
  first = firstAgent;
  places = flightCount / deviceCount;
  const most = (setting(SET_POSTS) + deviceCount - 1) / deviceCount;
  slots = most < 2 ? 1 : 1 << (32 - <u32>clz(most - 1));
  issuers = region(<usize>deviceCount * offsetof<Issuer>());
  queues = region(<usize>deviceCount * slots << 2);
  heard = region(<usize>deviceCount * slots * agentCount << 2);
  worked = region(<usize>deviceCount * setting(SET_PAGES));
  if (deviceCount > 1) addDeviceCounters(deviceCount);
  for (let i: u32 = 0; i < deviceCount; i++) {
    issuer(i).room = min(FIRST_ROOM, slots);
    seedState(drawsOf(issuer(i)), setting(SET_SEED) + i * SEED_STEP);
    agent(first + i).phase = START;
    if (setting(SET_DEVICE) == 0) block(agent(first + i), CAUSE_IDLE);
  }
}
@inline
function issuer(device: u32): Issuer {
  return changetype<Issuer>(issuers + <usize>device * offsetof<Issuer>());
}
@inline
function drawsOf(one: Issuer): usize {
  return changetype<usize>(one) + offsetof<Issuer>('draws');
}
/** Slot of a piece of work, among those of all queues. */
@inline
function slot(device: u32, index: u32, room: u32): usize {
  return device * slots + (index & (room - 1));
}
/** Twice as much room in a queue that is full: what lies behind the end of a turn moves to where the longer turn has it. */
function widen(device: u32, its: Issuer): void {
  const room = its.room;
  for (let index = its.head; index != its.tail; index++) {
    if ((index & room) == 0) continue;
    const from = slot(device, index, room);
    store<u32>(queues + ((from + room) << 2), load<u32>(queues + (from << 2)));
    memory.copy(heard + ((from + room) * agentCount << 2), heard + (from * agentCount << 2), agentCount << 2);
  }
  its.room = room << 1;
}

/** A CPU hands work to a device: of several consumers, and of several devices of one, to theirs by turns. */
export function post(from: Agent, page: u32, write: u32): void {
  const turn = posted++;
  if (banks > 1) attend(turn % banks);
  hand(from, deviceCount == 1 ? 0 : (turn / banks) % deviceCount, page, write);
  if (banks > 1) attend(0);
}
/** A doorbell, and so a sync edge. */
function hand(from: Agent, device: u32, page: u32, write: u32): void {
  const its = issuer(device);
  assert(its.tail - its.head < slots);
  if (its.tail - its.head == its.room) widen(device, its);
  const at = slot(device, its.tail, its.room);
  store<u32>(queues + (at << 2), (page << 1) | write);
  release(from.id, heard + (at * agentCount << 2));
  its.tail++;
  rouse(device, from.clock);
}

/** Ends a device's wait for work or for a free place in flight. */
export function rouse(device: u32, now: u64): void {
  if (setting(SET_DEVICE) == 0) return;
  const who = agent(first + device);
  if (who.state == BLOCKED) {
    wake(who, now);
    return;
  }
  const its = issuer(device);
  if (its.naps == 0) return;
  // It slept until the end of its active phase; there is work before.
  turnBack(who, max(its.naps - 1, now));
  its.naps = 0;
}

/** Each device has its chance at what has just been unmapped. */
export function rouseAll(now: u64): void {
  for (let i: u32 = 0; i < banks; i++) {
    if (banks > 1) attend(i);
    for (let device: u32 = 0; device < deviceCount; device++) rouse(device, now);
  }
}

/** One turn of an issuer. */
export function stepDevice(who: Agent): void {
  const device = who.id - first;
  const its = issuer(device);
  its.naps = 0;
  const restless = hazard(HAZARD_TRANSLATED_WHILE_IDLE);
  if (who.phase == START || (who.phase == IDLE && (!restless || who.clock >= its.ends))) {
    who.phase = ACTIVE;
    its.ends = who.clock + exponential(drawsOf(its), settingU64(SET_ACTIVE));
    if (activate(who.clock)) spend(who, CAUSE_ACTIVATE, cost(COST_ACTIVATE));
    return;
  }
  const phases = setting(SET_IDLE) != 0;
  if (phases && who.phase == ACTIVE && who.clock >= its.ends) {
    if (flying(device) != 0 && !restless) {
      block(who, CAUSE_IDLE);
      return;
    }
    deactivate(device, who.clock);
    who.phase = IDLE;
    const idle = exponential(drawsOf(its), settingU64(SET_IDLE));
    if (restless) its.ends = who.clock + idle;
    else spend(who, CAUSE_IDLE, idle);
    return;
  }
  const place = freePlace(device * places, places);
  if (place < 0) {
    block(who, CAUSE_IDLE);
    return;
  }
  if (!issue(who, its, <u32>place)) nap(who, its, phases);
}
/** Accesses of a device that are in flight. */
@inline
function flying(device: u32): u32 {
  return takenOf(device * places, places);
}

/** Nothing to do: until work comes, or the active phase ends. */
function nap(who: Agent, its: Issuer, phases: bool): void {
  if (!phases) {
    block(who, CAUSE_IDLE);
    return;
  }
  its.naps = who.clock + 1;
  if (its.ends > who.clock) spend(who, CAUSE_IDLE, its.ends - who.clock);
}

/** Starts the next access: a late one where the share asks for it and a page is at hand, else the next posted. */
function issue(who: Agent, its: Issuer, place: u32): bool {
  const device = who.id - first;
  const mine = worked + <usize>device * setting(SET_PAGES);
  let page: u32 = 0;
  let write: u32 = 0;
  if (<u64>its.late * 1000 < <u64>its.issued * setting(SET_LATE_SHARE)) page = takeUnmapped(settingU64(SET_LATE_RECORDS), mine);
  if (page != 0) {
    page--;
    write = its.late & 1;
    bump(N_DMA_LATE);
    its.late++;
  } else {
    // A quarter of the places is kept for what comes late.
    if (its.head == its.tail || flying(device) >= places - (places >> 2)) return false;
    const at = slot(device, its.head, its.room);
    const work = load<u32>(queues + (at << 2));
    page = work >> 1;
    write = work & 1;
    acquire(who.id, heard + (at * agentCount << 2));
    its.head++;
    store<u8>(mine + page, 1);
  }
  its.issued++;
  launch(place, page, 0, write, who);
  spend(who, CAUSE_DEVICE, cost(COST_DEVICE_THINK));
  return true;
}

// The device takes work off its queue in order. It is active and idle by turns; work posted while it is idle waits.
import { banks, beginSwap, KEPT_BYTES, swap } from './bank';
import { acquire, Agent, agent, agentCount, block, BLOCKED, release, spend, turnBack, wake } from './clock';
import { select } from './consumers';
import { bump, N_DMA_LATE } from './counters';
import { launch, swapFlights } from './flight';
import { swapHandler } from './handler';
import { hazard, HAZARD_TRANSLATED_WHILE_IDLE } from './hazard';
import { cost, region, setting, settingU64 } from './layout';
import {
  CAUSE_ACTIVATE, CAUSE_DEVICE, CAUSE_IDLE, COST_ACTIVATE, COST_DEVICE_THINK, SET_ACTIVE, SET_DEVICE, SET_IDLE, SET_LATE_RECORDS,
  SET_LATE_SHARE, SET_OUTSTANDING, SET_PAGES, SET_POSTS,
} from './ops';
import { activate, deactivate } from './pasid';
import { flightCount, flying, freePlace } from './places';
import { swapPri } from './pri';
import { swapPrq } from './prq';
import { exponential } from './random';
import { takeUnmapped } from './recent';
import { swapWorkqueue } from './workqueue';

// Phases.
const ACTIVE: u32 = 0;
const IDLE: u32 = 1;
const START: u32 = 2;

let state: usize = 0; //   u64 end of the active phase, u64 nap from + 1, u32 head, tail, issued, late
let queue: usize = 0; //   SET_POSTS x u32: page << 1 | write
let heard: usize = 0; //   SET_POSTS x u32[agentCount]: what the poster knew
let worked: usize = 0; //  u8[pages]: the device has worked on it
let issuer: u32 = 0;

// Of several consumers: whose device is in hand, those of the others, and how much has been posted to all.
let attended: u32 = 0;
const kept: usize = memory.data(KEPT_BYTES);
let posted: u32 = 0;

/** Takes a consumer in hand with its device. */
export function attend(next: u32): void {
  select(next);
  if (next == attended) return;
  beginSwap(kept, attended, next);
  swapFlights();
  swapPri();
  swapPrq();
  swapHandler();
  swapWorkqueue();
  state = swap(state);
  queue = swap(queue);
  heard = swap(heard);
  worked = swap(worked);
  issuer = swap(issuer);
  attended = next;
}
export function resetDevices(): void {
  attended = posted = 0;
}

export function initDevice(issuerAgent: u32): void {
  issuer = issuerAgent;
  state = region(32);
  queue = region(<usize>setting(SET_POSTS) << 2);
  heard = region(<usize>setting(SET_POSTS) * agentCount << 2);
  worked = region(setting(SET_PAGES));
  agent(issuer).phase = START;
}

/** Whether the queue has room for one more; posts are counted by the host, so it always has. */
@inline
function slot(index: u32): u32 {
  return index % setting(SET_POSTS);
}

/** A CPU hands work to a device: of several consumers to theirs by turns. */
export function post(from: Agent, page: u32, write: u32): void {
  if (banks > 1) attend(posted++ % banks);
  hand(from, page, write);
  if (banks > 1) attend(0);
}
/** A doorbell, and so a sync edge. */
function hand(from: Agent, page: u32, write: u32): void {
  const tail = load<u32>(state, 20);
  assert(tail - load<u32>(state, 16) < setting(SET_POSTS));
  store<u32>(queue + (<usize>slot(tail) << 2), (page << 1) | write);
  release(from.id, heard + (<usize>slot(tail) * agentCount << 2));
  store<u32>(state, tail + 1, 20);
  rouse(from.clock);
}

/** Ends the device's wait for work or for a free place in flight. */
export function rouse(now: u64): void {
  if (setting(SET_DEVICE) == 0) return;
  const device = agent(issuer);
  if (device.state == BLOCKED) {
    wake(device, now);
    return;
  }
  const nap = load<u64>(state, 8);
  if (nap == 0) return;
  // It slept until the end of its active phase; there is work before.
  turnBack(device, max(nap - 1, now));
  store<u64>(state, 0, 8);
}

/** Each device has its chance at what has just been unmapped. */
export function rouseAll(now: u64): void {
  for (let i: u32 = 0; i < banks; i++) {
    if (banks > 1) attend(i);
    rouse(now);
  }
}

/** One turn of the issuer. */
export function stepDevice(device: Agent): void {
  store<u64>(state, 0, 8);
  const restless = hazard(HAZARD_TRANSLATED_WHILE_IDLE);
  if (device.phase == START || (device.phase == IDLE && (!restless || device.clock >= load<u64>(state)))) {
    device.phase = ACTIVE;
    store<u64>(state, device.clock + exponential(settingU64(SET_ACTIVE)));
    if (activate(device.clock)) spend(device, CAUSE_ACTIVATE, cost(COST_ACTIVATE));
    return;
  }
  const phases = setting(SET_IDLE) != 0;
  if (phases && device.phase == ACTIVE && device.clock >= load<u64>(state)) {
    if (flying() != 0 && !restless) {
      block(device, CAUSE_IDLE);
      return;
    }
    deactivate(device.clock);
    device.phase = IDLE;
    const idle = exponential(settingU64(SET_IDLE));
    if (restless) store<u64>(state, device.clock + idle);
    else spend(device, CAUSE_IDLE, idle);
    return;
  }
  const place = freePlace(0, flightCount);
  if (place < 0) {
    block(device, CAUSE_IDLE);
    return;
  }
  if (!issue(device, <u32>place)) nap(device, phases);
}

/** Nothing to do: until work comes, or the active phase ends. */
function nap(device: Agent, phases: bool): void {
  if (!phases) {
    block(device, CAUSE_IDLE);
    return;
  }
  store<u64>(state, device.clock + 1, 8);
  const end = load<u64>(state);
  if (end > device.clock) spend(device, CAUSE_IDLE, end - device.clock);
}

/** Starts the next access: a late one where the share asks for it and a page is at hand, else the next posted. */
function issue(device: Agent, place: u32): bool {
  const issued = load<u32>(state, 24);
  const late = load<u32>(state, 28);
  let page: u32 = 0;
  let write: u32 = 0;
  if (<u64>late * 1000 < <u64>issued * setting(SET_LATE_SHARE)) page = takeUnmapped(settingU64(SET_LATE_RECORDS), worked);
  if (page != 0) {
    page--;
    write = late & 1;
    bump(N_DMA_LATE);
    store<u32>(state, late + 1, 28);
  } else {
    const head = load<u32>(state, 16);
    // A quarter of the places is kept for what comes late.
    const places = setting(SET_OUTSTANDING);
    if (head == load<u32>(state, 20) || flying() >= places - (places >> 2)) return false;
    const work = load<u32>(queue + (<usize>slot(head) << 2));
    page = work >> 1;
    write = work & 1;
    acquire(device.id, heard + (<usize>slot(head) * agentCount << 2));
    store<u32>(state, head + 1, 16);
    store<u8>(worked + page, 1);
  }
  store<u32>(state, issued + 1, 24);
  launch(place, page, 0, write, device);
  spend(device, CAUSE_DEVICE, cost(COST_DEVICE_THINK));
  return true;
}

// Devices of a recording: each issues its accesses in program order, so many in flight. An access waits for its mapping;
// one that came after the unmap stands at the same distance from it under every policy, and nothing waits for it.
import { Agent, agent, block, BLOCKED, retire, spend, wake } from './clock';
import { bump, N_DEVICE_FAULTS, N_DMA, N_MISDIRECTED, N_S1_READ, N_S1_WRITE, N_SHARED } from './counters';
import { launch, stepFlight } from './flight';
import { cost, region, setting } from './layout';
import { frameAt, instance, IS_ENDING, IS_MAPPED, IS_RETURNED, leafOf, wasReused } from './mapping';
import { CAUSE_DEVICE, CAUSE_IDLE, COST_DMA, SET_ATS, SET_CPUS, SET_DEVICES, SET_OUTSTANDING, SET_REUSE, SET_UNMAP, UNMAP_NEVER } from './ops';
import { isStepwise } from './progress';
import { publish } from './recent';
import {
  copyRow, delayOf, fieldOf, hasMore, nextRecord, numberOf, opOf, RECORD_BYTES, RECORD_RAW, thinkOf,
} from './recording';
import { violation } from './safety';
import { flight, freePlace, leavePlace, takePlace } from './places';
import { vpnOf } from './table';

// Phases of an issuer.
const NEXT: u32 = 0;
const READY: u32 = 1; //  the think time is over
const LAUNCH: u32 = 2; // its mapping is there
/** Phase of a place in flight whose access needs no translation; behind those of a flight. */
const DIRECT: u32 = 100;

const NOTHING: u32 = 0xffff_ffff;

let state: usize = 0; //   per device: u32 address of its row, u32 instance that it waits for or NOTHING
let flown: usize = 0; //   RECORD_BYTES per place: row of its access
let issuers: u32 = 0; //   agent of the first device
let flights: u32 = 0; //   agent of the first place
let places: u32 = 0; //    per device

export function initIssuers(firstIssuer: u32, firstFlight: u32): void {
  const count = setting(SET_DEVICES);
  issuers = firstIssuer;
  flights = firstFlight;
  places = setting(SET_OUTSTANDING) / max<u32>(1, count);
  state = region(<usize>count << 3);
  flown = region(<usize>setting(SET_OUTSTANDING) * RECORD_BYTES);
  for (let device: u32 = 0; device < count; device++) setWaits(device, NOTHING);
}
@inline
function rowOf(device: u32): usize {
  return load<u32>(state + (<usize>device << 3));
}
@inline
function flownRow(place: u32): usize {
  return flown + <usize>place * RECORD_BYTES;
}
@inline
function setWaits(device: u32, id: u32): void {
  store<u32>(state + (<usize>device << 3), id, 4);
}

/** One turn of a device. */
export function stepIssuer(who: Agent): void {
  const device = who.id - issuers;
  if (who.phase == NEXT) {
    if (!goOn(who, device) && !hasMore(setting(SET_CPUS) + device)) retire(who);
    return;
  }
  const row = rowOf(device);
  if (opOf(row) == RECORD_RAW) {
    bump(N_DMA);
    if (setting(SET_UNMAP) != UNMAP_NEVER) bump(N_DEVICE_FAULTS);
    who.phase = NEXT;
    return;
  }
  if (who.phase == READY) {
    if (!ready(who, device, row)) return;
    who.phase = LAUNCH;
    if (isStepwise() || delayOf(row) != 0) return;
  }
  if (issue(who, device, row) && !isStepwise()) goOn(who, device);
}
/** The device comes to its next record, which nobody else can see. Returns whether there is one. */
function goOn(who: Agent, device: u32): bool {
  const next = nextRecord(setting(SET_CPUS) + device);
  if (next == 0) return false;
  store<u32>(state + (<usize>device << 3), <u32>next);
  who.phase = READY;
  // An access after its unmap has its time from there.
  if (opOf(next) == RECORD_RAW || delayOf(next) == 0) spend(who, CAUSE_IDLE, thinkOf(next));
  return true;
}

/** Whether the access may be issued; if not, the device waits for its mapping, or for the unmap to begin. */
function ready(who: Agent, device: u32, row: usize): bool {
  const id = fieldOf(row, 0);
  const mapping = instance(id);
  const after = delayOf(row);
  if (mapping.state < (after == 0 ? IS_MAPPED : IS_ENDING)) {
    setWaits(device, id);
    block(who, CAUSE_IDLE);
    return false;
  }
  if (after != 0 && mapping.began + after - 1 > who.clock) spend(who, CAUSE_IDLE, mapping.began + after - 1 - who.clock);
  return true;
}

/** Issues the access. Returns whether there was a place for it; if not, the device waits for one. */
function issue(who: Agent, device: u32, row: usize): bool {
  const free = freePlace(device * places, places);
  if (free < 0) {
    block(who, CAUSE_IDLE);
    return false;
  }
  const place = <u32>free;
  copyRow(flownRow(place), row);
  who.phase = NEXT;
  const mapping = instance(fieldOf(row, 0));
  if (setting(SET_UNMAP) == UNMAP_NEVER) {
    const access = agent(flights + place);
    bump(N_DMA);
    wake(access, who.clock);
    takePlace(place);
    access.phase = DIRECT;
    spend(access, CAUSE_DEVICE, cost(COST_DMA));
    return true;
  }
  const page = leafOf(mapping, fieldOf(row, 1));
  launch(place, page, <u32>(mapping.page + fieldOf(row, 1) - vpnOf(page)), fieldOf(row, 2), who);
  // Without a TLB of the device the access's first turn is nobody else's business.
  if (!isStepwise() && setting(SET_ATS) == 0) stepFlight(agent(flights + place));
  return true;
}

/** One turn of an access in flight. Returns whether it is over. */
export function stepAccess(who: Agent): bool {
  const place = who.id - flights;
  const row = flownRow(place);
  publish(numberOf(row));
  if (who.phase == DIRECT) landDirect(who, row);
  else {
    // Allowed after the unmap, and not by an old entry: by a mapping that has the IOVA now.
    const held = flight(place);
    const fresh = held.holds != 0 && held.stale == 0;
    if (!stepFlight(who)) return false;
    if (fresh && delayOf(row) != 0) bump(N_MISDIRECTED);
  }
  if (delayOf(row) == 0) instance(fieldOf(row, 0)).landed++;
  const issuer = agent(issuers + place / places);
  if (issuer.state == BLOCKED && issuer.phase == LAUNCH) wake(issuer, who.clock);
  return true;
}

/** Lands where it was told to: in a frame that may have been handed back long since. */
function landDirect(who: Agent, row: usize): void {
  const mapping = instance(fieldOf(row, 0));
  if (mapping.state == IS_RETURNED) {
    const frame = frameAt(mapping, fieldOf(row, 1));
    if (!wasReused(mapping, fieldOf(row, 1))) bump(N_SHARED);
    else if (setting(SET_REUSE) != 0) {
      violation(fieldOf(row, 2) != 0 ? N_S1_WRITE : N_S1_READ, 1, frame, who.id, who.clock, numberOf(row));
    }
  }
  who.phase = 0;
  leavePlace(who.id - flights);
  block(who, CAUSE_IDLE);
}

/** The instance is mapped, or its unmap has begun: devices that wait for it look again. */
export function rouseWaiting(id: u32, now: u64): void {
  for (let device: u32 = 0; device < setting(SET_DEVICES); device++) {
    if (load<u32>(state + (<usize>device << 3), 4) != id) continue;
    setWaits(device, NOTHING);
    wake(agent(issuers + device), now);
  }
}

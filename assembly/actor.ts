// The agents of a race: CPUs, the reclaim agent and a device, each with a few actions in order. What they do is what the
// agents of a program do: the same accesses, lists and flights, taken from a script.
import { fillWalked, HAS_FAULTED, HAS_WALKED, IS_SERVED, refill, serve } from './access';
import { markPage, settleOccasion } from './area';
import { bind, meant, release as releasePasid } from './binding';
import { SPACE_PAGES_LG2 } from './command';
import { ENTRY_SHIFT, ENTRY_V, ENTRY_W, lookup } from './cache';
import { acquire, addRow, Agent, agent, agentCount, block, BLOCKED, DONE, moveEpochs, release, retire, revive, spend, wake } from './clock';
import { bump, N_COMPUTE, N_L1D_MISS } from './counters';
import { stepList } from './fault';
import { isBusy, launch } from './flight';
import { hazard, HAZARD_TRANSLATED_WHILE_IDLE } from './hazard';
import { cost, region, setting } from './layout';
import { BY_TLB, LOG_ACCESS, LOG_ACTION, note } from './log';
import {
  ACT_ACTIVATE, ACT_AWAIT, ACT_BIND, ACT_DEACTIVATE, ACT_END, ACT_MAP, ACT_MARK, ACT_MOVE, ACT_PAGE, ACT_PREFETCH, ACT_RANGE, ACT_READ, ACT_RECLAIM, ACT_RING,
  ACT_UNBIND, ACT_WORDS, ACT_WRITE, AT_MOVE, CAUSE_ACTIVATE, CAUSE_COMPUTE, CAUSE_IDLE, CAUSE_SYSCALL, COST_ACCESS, COST_ACTIVATE, COST_SYSCALL,
  KIND_GONE, SET_ATS, SET_CPUS, SET_FLAGS,
} from './ops';
import { beginRange, clearRun, runOf } from './path';
import { activate, deactivate, isActive } from './pasid';
import { flightCount, freePlace } from './places';
import { stopRequests } from './pri';
import { clearBatch, reclaimPages, stepReclaim } from './reclaim';
import { cpuCaches } from './space';
import { beginRelease, stepSubmission } from './submit';
import { PASID } from './submission';
import { setKind, setReadOnly, vpnOf } from './table';
import { beginFor, fits, occasionOf } from './work';

/** Actions of one agent, END included. */
export const SCRIPT_ACTIONS: u32 = 32;

// Phases of a CPU. Those of the reclaim agent are its own; a device waits for its access to land.
const USER: u32 = 0;
const FAULT: u32 = 1; // a fault's list runs; the access comes again
const CALL: u32 = 2; //  an action's list runs
const FLYING: u32 = 3; // of the device
const RELEASE: u32 = 4; // what there is of its PASID is invalidated
const HOLDS: u32 = 5; //   of the device: an access that it has not waited for is in the way of its next action
const FILL: u32 = 6; //    its walk is over, and what it has read in no TLB yet

let scripts: usize = 0; // u32[agentCount * SCRIPT_ACTIONS * ACT_WORDS], written by the host
let cursors: usize = 0; // u32[agentCount]
let rung: usize = 0; //    u8[flags]
let heard: usize = 0; //   u32[flags * agentCount]: what the agent that rang it knew
let waits: usize = 0; //   u32[agentCount]: 1 + the flag that it waits for

/** Room for the scripts of `count` agents. */
export function initScripts(count: u32): void {
  scripts = region(<usize>count * SCRIPT_ACTIONS * ACT_WORDS << 2);
}
export function initActors(): void {
  const flags = setting(SET_FLAGS);
  cursors = region(<usize>agentCount << 2);
  rung = region(flags);
  heard = region(<usize>flags * agentCount << 2);
  waits = region(<usize>agentCount << 2);
  for (let i: u32 = 0; i < flags; i++) addRow(heard + (<usize>i * agentCount << 2));
}
export function scriptsAt(): usize {
  return scripts;
}
/** A new script for every agent: who was done with the last one begins again. */
export function startScripts(): void {
  for (let id: u32 = 0; id < agentCount; id++) {
    store<u32>(cursors + (<usize>id << 2), 0);
    if (agent(id).state == DONE) revive(agent(id));
  }
}

@inline
function actionOf(id: u32): usize {
  return scripts + (<usize>(id * SCRIPT_ACTIONS + load<u32>(cursors + (<usize>id << 2))) * ACT_WORDS << 2);
}
/** Index of the action that the agent is at. */
function actionIndex(id: u32): u32 {
  return load<u32>(cursors + (<usize>id << 2));
}
/** The action in hand is over; with the last one, so is the agent. */
function next(who: Agent): void {
  const at = cursors + (<usize>who.id << 2);
  store<u32>(at, load<u32>(at) + 1);
  settle(who);
}
/** An agent whose script is over is done. */
export function settle(who: Agent): void {
  if (load<u32>(actionOf(who.id)) != ACT_END) return;
  retire(who);
  moveEpochs(); // nobody asks any more what it knows
}

/** One turn of a CPU, of the reclaim agent or of the device. */
export function stepActor(who: Agent): void {
  if (who.phase == USER) act(who, actionOf(who.id));
  else if (who.phase == RELEASE) goOnReleasing(who);
  else if (who.phase == FILL) endAccess(who, actionOf(who.id));
  else if (who.id < setting(SET_CPUS)) goOn(who);
  else if (who.id == setting(SET_CPUS)) goOnReclaiming(who);
  else landed(who);
}

function goOnReclaiming(who: Agent): void {
  stepReclaim(who);
  if (who.phase != USER) return;
  clearBatch();
  clearRun(who.id);
  next(who);
}

function goOnReleasing(who: Agent): void {
  if (!stepSubmission(runOf(who.id).job, who)) return;
  clearRun(who.id);
  who.phase = USER;
  next(who);
}

function goOn(who: Agent): void {
  if (!stepList(who)) return;
  clearRun(who.id);
  const called = who.phase == CALL;
  who.phase = USER;
  if (called) next(who);
}

function landed(who: Agent): void {
  who.phase = USER;
  next(who);
}
/** The device's access is over, or waits for its page: it goes on with its script. */
export function rouseDevice(device: Agent, over: bool, now: u64): void {
  if (device.state != BLOCKED || (device.phase != HOLDS && (device.phase != FLYING || !over))) return;
  wake(device, now);
  if (device.phase == FLYING) landed(device);
  else device.phase = USER;
}
/** The device tries its action again when the access under way is over, or asks for its page. */
function hold(device: Agent): void {
  device.phase = HOLDS;
  block(device, CAUSE_IDLE);
}

function act(who: Agent, action: usize): void {
  note(LOG_ACTION, who.id, actionIndex(who.id), 0, 0, who.clock);
  const first = load<u32>(action, 4);
  const second = load<u32>(action, 8);
  const third = load<u32>(action, 12);
  switch (load<u32>(action)) {
    case ACT_READ: return access(who, first, 0);
    case ACT_WRITE: return access(who, first, 1);
    case ACT_RANGE: {
      who.phase = CALL;
      spend(who, CAUSE_SYSCALL, cost(COST_SYSCALL));
      const everything = third >> 1 == 0;
      const begin: u64 = everything ? 0 : vpnOf(second);
      const end: u64 = everything ? (<u64>1) << SPACE_PAGES_LG2 : begin + (third >> 1);
      const run = beginRange(who, settleOccasion(first, begin, end), begin, end);
      run.writable = third & 1;
      run.everything = everything ? 1 : 0;
      return;
    }
    case ACT_MOVE: {
      who.phase = CALL;
      spend(who, CAUSE_SYSCALL, cost(COST_SYSCALL));
      mapPages(third, second, KIND_GONE);
      beginRange(who, AT_MOVE, vpnOf(first), vpnOf(first) + second).newFirst = vpnOf(third);
      return;
    }
    case ACT_RECLAIM: {
      if (!reclaimPages(who, first, second)) next(who);
      return;
    }
    case ACT_PAGE: {
      const occasion = occasionOf(first, second);
      if (!fits(occasion, second)) next(who);
      else if (beginFor(who, occasion, second)) who.phase = CALL;
      return;
    }
    case ACT_MARK: {
      for (let page = first; page < first + second; page++) markPage(page, third);
      return next(who);
    }
    case ACT_UNBIND: {
      releasePasid();
      beginRelease(runOf(who.id).job);
      who.phase = RELEASE;
      return;
    }
    case ACT_BIND: {
      bind(first);
      return next(who);
    }
    case ACT_RING: return ring(who, first);
    case ACT_AWAIT: return await_(who, first);
    case ACT_ACTIVATE: {
      if (activate(who.clock)) spend(who, CAUSE_ACTIVATE, cost(COST_ACTIVATE));
      return next(who);
    }
    case ACT_PREFETCH: {
      if (!isActive() || setting(SET_ATS) == 0) return next(who);
      const place = freePlace(0, flightCount);
      if (place < 0) return hold(who);
      launch(<u32>place, meant(first), 0, 1, who, 1);
      return next(who);
    }
    case ACT_DEACTIVATE: {
      // Requests for translations are answered first.
      if (isBusy()) return hold(who);
      if (freePlace(0, flightCount) < 0) stopRequests(PASID, who.clock);
      deactivate(0, who.clock);
      return next(who);
    }
    default: {
      assert(load<u32>(action) == ACT_MAP);
      mapPages(first, second, third);
      return next(who);
    }
  }
}

function mapPages(first: u32, pages: u32, kind: u32): void {
  for (let page = first; page < first + pages; page++) {
    setKind(page, kind);
    setReadOnly(page, 0);
  }
}

function access(who: Agent, page: u32, write: u32): void {
  if (who.id >= setting(SET_CPUS)) {
    // Who does not use the PASID issues nothing, if he keeps to that.
    if (!isActive() && !hazard(HAZARD_TRANSLATED_WHILE_IDLE)) return next(who);
    const place = freePlace(0, flightCount);
    if (place < 0) return hold(who);
    launch(<u32>place, meant(page), 0, write, who);
    who.phase = FLYING;
    // How long the access takes counts with its flight.
    block(who, CAUSE_IDLE);
    return;
  }
  const cpu = cpuCaches(who.id);
  const want = (page << ENTRY_SHIFT) | ENTRY_V | (write << 1);
  const mask: u32 = write != 0 ? ~0 : ~ENTRY_W;
  cpu.poked = 0;
  if (lookup(cpu.l1d, cpu.l1d.set(page), want, mask) != 0 || refill(who, cpu, cpu.l1d, page, want, mask)) {
    note(LOG_ACCESS, who.id, BY_TLB, write, page + 1, who.clock);
    return accessed(who);
  }
  const served = serve(who, cpu, cpu.l1d, page, write);
  if (served == HAS_FAULTED) who.phase = FAULT;
  else if (served == HAS_WALKED) who.phase = FILL;
  else if (served == IS_SERVED) {
    bump(N_L1D_MISS);
    accessed(who);
  }
}
/** A CPU's walk is over; the access is, too, unless a flush has come in between. */
function endAccess(who: Agent, action: usize): void {
  const cpu = cpuCaches(who.id);
  who.phase = USER;
  if (!fillWalked(who, cpu, cpu.l1d, load<u32>(action, 4), load<u32>(action) == ACT_WRITE ? 1 : 0)) return act(who, action);
  bump(N_L1D_MISS);
  accessed(who);
}
/** A CPU's access is over. */
function accessed(who: Agent): void {
  bump(N_COMPUTE);
  spend(who, CAUSE_COMPUTE, cost(COST_ACCESS));
  next(who);
}

// ---- flags: a store-release and loads that wait for it ----

function ring(who: Agent, flag: u32): void {
  store<u8>(rung + flag, 1);
  release(who.id, heard + (<usize>flag * agentCount << 2));
  for (let id: u32 = 0; id < agentCount; id++) {
    if (load<u32>(waits + (<usize>id << 2)) != flag + 1) continue;
    store<u32>(waits + (<usize>id << 2), 0);
    wake(agent(id), who.clock);
  }
  next(who);
}
function await_(who: Agent, flag: u32): void {
  if (load<u8>(rung + flag) == 0) {
    store<u32>(waits + (<usize>who.id << 2), flag + 1);
    block(who, CAUSE_IDLE);
    return;
  }
  acquire(who.id, heard + (<usize>flag * agentCount << 2));
  next(who);
}

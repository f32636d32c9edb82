// The machine: agents in the order of their clocks, until the program needs more records or is over.
import { Agent, agent, agentCount, block, DONE, initAgents, initCauses, nextAgent, RUNNABLE } from './clock';
import { initCounters } from './counters';
import { initCpu, NEEDS_INPUT, nextChunk, stepCpu } from './cpu';
import { initDevice, rouse, stepDevice } from './device';
import { initEventLog } from './eventlog';
import { initFaults } from './fault';
import { initFlights, stepFlight } from './flight';
import { initFrames } from './frame';
import { initIommu, stepIommu } from './iommu';
import { openArena, setting, settingU64 } from './layout';
import { logOff } from './log';
import { CAUSE_IDLE, SET_CPUS, SET_DEVICE, SET_FRAMES, SET_LOOKAHEAD, SET_OUTSTANDING, SET_PAGES, SET_RECLAIM, SET_SEED, SET_TABLES } from './ops';
import { initPasid } from './pasid';
import { initLists, initPaths } from './path';
import { initPending, stepLink } from './pending';
import { initQuantiles, initRandom } from './random';
import { initRecent, takeNews } from './recent';
import { initReclaim, stepReclaim } from './reclaim';
import { initRegisters } from './registers';
import { initRing } from './ring';
import { initSafety } from './safety';
import { initNames, initSpace, placePage } from './space';
import { initSubmit } from './submit';
import { addPage, addTable, initTable } from './table';
import { initWork } from './work';

// Agents: CPUs, then the reclaim agent, the IOMMU's command processor, its link to the device, the device, its accesses in flight.
let cpus: u32 = 0;
let reclaimer: u32 = 0;
let hardware: u32 = 0;
let link: u32 = 0;
let device: u32 = 0;
let flights: u32 = 0;
let quantiles: usize = 0;

/** Why `run` returned. */
export const WANTS_RECORDS: u32 = 0;
export const IS_OVER: u32 = 1;
export const IS_STUCK: u32 = 2; // nobody can go on: there are too few frames for what is in flight

/** Lays out a machine from the settings; the host has written them. */
export function init(): void {
  openArena();
  logOff();
  cpus = setting(SET_CPUS);
  reclaimer = cpus;
  hardware = cpus + 1;
  link = cpus + 2;
  device = cpus + 3;
  flights = cpus + 4;
  initCauses(flights + setting(SET_OUTSTANDING));
  initAgents(flights + setting(SET_OUTSTANDING));
  initCounters();
  initRandom(setting(SET_SEED));
  quantiles = initQuantiles();
  initFrames(setting(SET_FRAMES));
  initNames();
  initTable(setting(SET_PAGES), setting(SET_TABLES));
  initSafety(setting(SET_PAGES));
  initSpace();
  initRegisters();
  initEventLog();
  initRing();
  initIommu();
  initPending(hardware, link);
  initPasid();
  initSubmit(hardware);
  initRecent();
  initLists();
  initPaths(hardware, flights);
  initWork();
  initFaults(reclaimer);
  initReclaim();
  initFlights(flights);
  initDevice(device);
  initCpu();
  block(agent(reclaimer), CAUSE_IDLE);
  block(agent(hardware), CAUSE_IDLE);
  if (setting(SET_DEVICE) == 0) block(agent(device), CAUSE_IDLE);
}
export function quantilesAt(): usize {
  return quantiles;
}

/** A page of the next chunk: its number in two halves of 32 bits, its leaf table, its kind. */
export function definePage(vpnLow: u32, vpnHigh: u32, table: u32, kind: u32): void {
  placePage(addPage((<u64>vpnHigh << 32) | vpnLow, table, kind));
}
/** A leaf table, before its first page. */
export function defineTable(keyLow: u32, keyHigh: u32): void {
  addTable((<u64>keyHigh << 32) | keyLow);
}

/** Runs `records` records, which stand in place, with `posts` posts. `last`: there are no more. */
export function run(records: u32, posts: u32, last: u32): u32 {
  nextChunk(records, posts);
  while (true) {
    const id = nextAgent();
    if (id < 0) return over(u64.MAX_VALUE) ? IS_OVER : IS_STUCK;
    const who = agent(id);
    if (over(who.clock)) return IS_OVER;
    if (<u32>id < cpus) {
      if (stepCpu(who, horizon(who)) == NEEDS_INPUT) {
        if (last == 0) return WANTS_RECORDS;
        who.state = DONE;
      }
    } else if (<u32>id == reclaimer) stepReclaim(who);
    else if (<u32>id == hardware) stepIommu(who);
    else if (<u32>id == link) stepLink(who);
    else if (<u32>id == device) stepDevice(who);
    else if (stepFlight(who)) rouse(who.clock);
    // A device that answers late has its chance at what has just been unmapped.
    if (takeNews()) rouse(who.clock);
  }
}

/** The run ends at the last CPU's end: others take their steps before it and none after. */
function over(now: u64): bool {
  let end: u64 = 0;
  for (let id: u32 = 0; id < cpus; id++) {
    if (agent(id).state != DONE) return false;
    end = max(end, agent(id).clock);
  }
  return now >= end;
}

/** Before this time nobody else can change what a CPU's hits depend on. A device never does. */
function horizon(who: Agent): u64 {
  let limit: u64 = u64.MAX_VALUE;
  for (let id: u32 = 0; id <= reclaimer; id++) {
    const other = agent(id);
    if (id == who.id || other.state != RUNNABLE) continue;
    // A CPU in user mode must trap first.
    const ahead = id < cpus && other.phase == 0 ? settingU64(SET_LOOKAHEAD) : 0;
    limit = min(limit, other.clock + ahead + (who.id < id ? 1 : 0));
  }
  return limit;
}

/** Virtual time of an agent in picoseconds. */
export function clockOf(id: u32): f64 {
  return <f64>agent(id).clock;
}
export function agents(): u32 {
  return agentCount;
}

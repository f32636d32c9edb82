// The machine of a race: a few agents, small caches, nothing has a cost. It has no clock: whoever can take a step may.
import { initActors, initScripts, rouseDevice, settle, startScripts, stepActor } from './actor';
import { initBinding } from './binding';
import { agent, agentCount, block, DONE, initAgents, initCauses, listRows, nextAgent, RUNNABLE, spend } from './clock';
import { SPACE_PAGES_LG2 } from './command';
import { initHardware } from './consumers';
import { clearCounters, initCounters } from './counters';
import { initEpochs, shrinkEpochs } from './epochs';
import { initFaults } from './fault';
import { initFlights, isBusy, stepFlight } from './flight';
import { initFrames } from './frame';
import { isQuiet, stepIommu } from './iommu';
import { initHandler, stepHandler } from './handler';
import { openArena, readConfig, setting } from './layout';
import { logOff } from './log';
import { CAUSE_IDLE, SET_CPUS, SET_DMA, SET_FLAGS, SET_FRAMES, SET_OUTSTANDING, SET_PAGES, SET_SPACES, SET_TABLES, SET_WHOLE } from './ops';
import { initLists, initPaths } from './path';
import { onlyAnswers, stepLink, timesOut } from './pending';
import { hasPri } from './pri';
import { initPrq } from './prq';
import { initRecent } from './recent';
import { initReclaim } from './reclaim';
import { layOutRace, over, step } from './replay';
import { initSafety } from './safety';
import { catchUp } from './shootdown';
import { beginState, endState } from './snapshot';
import { initNames, initSpace } from './space';
import { initTable } from './table';

/** Locks besides those of leaf tables: of the queue, of walkers, mmap_lock. */
const OTHER_LOCKS: u32 = 4;

// Agents: CPUs, then the reclaim agent, the device, the IOMMU's command processor, its link to the device, accesses in flight,
// the handler of page requests where they have a queue.
let reclaimer: u32 = 0;
let device: u32 = 0;
let hardware: u32 = 0;
let link: u32 = 0;
let flights: u32 = 0;
let handler: u32 = 0;
let reached: u64 = 0; // when the last turn began
let recorded: bool = false; // the race is of the DMA API: a recording of a few calls, in any order

/** Lays out the machine of a race from the settings; the host has written them. */
export function raceInit(): void {
  openArena();
  logOff();
  reached = 0;
  recorded = setting(SET_DMA) != 0;
  if (recorded) {
    hardware = layOutRace();
    link = hardware + 1;
  } else layOutSpace();
}
function layOutSpace(): void {
  reclaimer = setting(SET_CPUS);
  device = reclaimer + 1;
  hardware = reclaimer + 2;
  link = reclaimer + 3;
  flights = reclaimer + 4;
  handler = flights + setting(SET_OUTSTANDING);
  const count = handler + (hasPri() ? 1 : 0);
  initCauses(count);
  initScripts(count);
  initCounters();
  initRecent();
  initLists();
  initNames();
  beginState();
  initAgents(count);
  listRows(setting(SET_TABLES) + setting(SET_FLAGS) + OTHER_LOCKS);
  initEpochs(setting(SET_PAGES));
  initFrames(setting(SET_FRAMES));
  initTable(setting(SET_PAGES), setting(SET_TABLES), setting(SET_SPACES) > 1 ? <u64>1 << SPACE_PAGES_LG2 : 0);
  initBinding();
  initSafety(setting(SET_PAGES));
  initSpace();
  initHardware(hardware, link);
  initPaths(device, flights);
  initFaults(reclaimer);
  initReclaim();
  initFlights(flights, hardware);
  if (hasPri()) {
    initPrq(handler);
    initHandler();
    block(agent(handler), CAUSE_IDLE);
  }
  initActors();
  endState();
  block(agent(hardware), CAUSE_IDLE);
}

/** Agents, for the host: CPUs, reclaim, device, IOMMU, link, flights, handler of page requests in this order. */
export function raceAgents(): u32 {
  return agentCount;
}
/** Whether an agent's steps count towards the length of a schedule: all but those of the IOMMU and its link. */
@inline
export function isNamed(id: u32): bool {
  return id != hardware && id != link;
}

/** Virtual time begins: the host has written costs by now. What has been counted so far is forgotten. */
export function racePrice(): void {
  readConfig();
  clearCounters();
}
/** Every agent begins the script that the host has written for it. */
export function raceScripts(): void {
  startScripts();
  for (let id: u32 = 0; id <= device; id++) settle(agent(id));
}

/** Takes what makes no difference out of the state. */
@inline
export function raceShrink(): void {
  if (!recorded) shrinkEpochs();
}
/** Agents that can take a step: bit = agent. */
export function raceEnabled(): u32 {
  let mask: u32 = 0;
  for (let id: u32 = 0; id < agentCount; id++) if (agent(id).state == RUNNABLE) mask |= 1 << id;
  // A time-out is long: until then the IOMMU has done whatever it can.
  if ((mask & (1 << hardware)) != 0 && (mask & (1 << link)) != 0 && timesOut()) mask &= ~(1 << link);
  return mask;
}

/** Lets an agent take one step, and IOMMU and link all that nobody sees. Returns the turns taken. */
export function raceStep(id: u32): u32 {
  const who = agent(id);
  assert(who.state == RUNNABLE);
  if (recorded) {
    step(who);
    return 1 + runAhead();
  }
  if (id < reclaimer) catchUp(who);
  if (id <= device) stepActor(who);
  else if (id == hardware) stepIommu(who);
  else if (id == link) stepLink(who);
  else if (id == handler) stepHandler(who);
  else {
    const over = stepFlight(who);
    if (over || !isBusy()) rouseDevice(agent(device), over, who.clock);
  }
  return 1 + runAhead();
}
/** The same in virtual time: the turn begins no earlier than the one before it did. */
export function raceTurn(id: u32): void {
  const who = agent(id);
  if (who.clock < reached) spend(who, CAUSE_IDLE, reached - who.clock);
  reached = who.clock;
  raceStep(id);
}
/** Who is next in virtual time, or -1. */
export function raceNext(): i32 {
  return nextAgent();
}
/** When the last of CPUs, reclaim and device came to its end, in picoseconds. */
export function raceElapsed(): f64 {
  let end: u64 = 0;
  for (let id: u32 = 0; id <= device; id++) end = max(end, agent(id).clock);
  return <f64>end;
}
/** What IOMMU and link do next as long as it does no more than let somebody go on who waits for it. */
function runAhead(): u32 {
  if (setting(SET_WHOLE) != 0) return 0;
  const processor = agent(hardware);
  let turns: u32 = 0;
  while (true) {
    if (agent(link).state == RUNNABLE && onlyAnswers()) stepLink(agent(link));
    else if (processor.state == RUNNABLE && isQuiet(processor)) stepIommu(processor);
    else break;
    turns++;
  }
  return turns;
}

/** Runs all scripts to their ends, the first agent that can going first. Returns whether all came to their ends. */
export function raceRun(): bool {
  while (true) {
    const id = nextAgent();
    if (id < 0) return raceOver();
    raceStep(<u32>id);
  }
}
/** Whether all scripts are at their ends. */
export function raceOver(): bool {
  if (recorded) return over();
  for (let id: u32 = 0; id <= device; id++) if (agent(id).state != DONE) return false;
  return true;
}

// Timed replay of a DMA recording: CPUs that call the DMA API, the IOMMU's command processor, a flush timer per domain,
// devices and their accesses in flight, in the order of their clocks.
import { Agent, agent, agentCount, block, DONE, initAgents, initCauses, nextAgent, staysNext } from './clock';
import { initHardware } from './consumers';
import { initCounters } from './counters';
import { initDrivers, rouseDrivers, stepDriver } from './driver';
import { initFlights } from './flight';
import { initQueues, stepTimer } from './flushqueue';
import { stepIommu } from './iommu';
import { initIova } from './iova';
import { initIssuers, stepAccess, stepIssuer } from './issuer';
import { openArena, setting } from './layout';
import { logOff } from './log';
import { initMappings, nameAll } from './mapping';
import { CAUSE_IDLE, SET_CPUS, SET_DEVICES, SET_OUTSTANDING, SET_PAGES, SET_SPACES, SET_TABLES } from './ops';
import { stepLink } from './pending';
import { flightsInUse } from './places';
import { goesRound, initProgress, resumeRun, STOP_ENDLESS, stopped } from './progress';
import { initRecent } from './recent';
import { initRecords } from './recording';
import { initSafety } from './safety';
import { beginState, endState } from './snapshot';
import { initNames, initSpace } from './space';
import { initTable, vpnOf } from './table';

let cpus: u32 = 0;
let hardware: u32 = 0;
let link: u32 = 0;
let timers: u32 = 0;
let issuers: u32 = 0;
let flights: u32 = 0;

/** Lays out a machine for a recording; the host has written the settings. */
export function dmaInit(): void {
  openArena();
  logOff();
  layOutStatistics();
  layOutMachine();
}
/** The same as what a race has: its state apart from what is counted. Returns the agent of the IOMMU; its link is the next one. */
export function layOutRace(): u32 {
  layOutStatistics();
  beginState();
  layOutMachine();
  endState();
  nameAll();
  return hardware;
}
function layOutStatistics(): void {
  cpus = setting(SET_CPUS);
  hardware = cpus;
  link = hardware + 1;
  timers = hardware + 2;
  issuers = timers + setting(SET_SPACES);
  flights = issuers + setting(SET_DEVICES);
  initProgress();
  initCauses(flights + setting(SET_OUTSTANDING));
  initCounters();
}
function layOutMachine(): void {
  // No CPU translates here, so that nobody is a page's first user.
  initAgents(flights + setting(SET_OUTSTANDING), false);
  initNames();
  initTable(setting(SET_PAGES), setting(SET_TABLES));
  initSafety(setting(SET_PAGES));
  // The CPUs of a recording have no caches here: only their calls are recorded.
  initSpace();
  initHardware(hardware, link);
  initRecent();
  initRecords();
  initMappings();
  initIova();
  initQueues(timers);
  initDrivers();
  initFlights(flights, hardware);
  initIssuers(issuers, flights);
  block(agent(hardware), CAUSE_IDLE);
}

/** Runs to the end. Returns 0; 1 if nobody could go on; STOP_*: what it stops for. Of rows: it goes on when they are given. */
export function dmaRun(): u32 {
  resumeRun();
  while (!over()) {
    const id = nextAgent();
    if (id < 0) return 1;
    const who = agent(id);
    do {
      if (goesRound()) return STOP_ENDLESS;
      step(who);
      if (stopped != 0) return stopped;
    } while (staysNext(who));
  }
  return 0;
}
/** One turn of an agent, whatever the others' clocks say. */
export function step(who: Agent): void {
  const id = who.id;
  if (id < cpus) stepDriver(who);
  else if (id == hardware) stepIommu(who);
  else if (id == link) stepLink(who);
  else if (id < issuers) stepTimer(who);
  else if (id < flights) stepIssuer(who);
  else if (stepAccess(who)) rouseDrivers(who.clock);
}

/** Whether all records are done. */
export function over(): bool {
  for (let id: u32 = 0; id < cpus; id++) if (agent(id).state != DONE) return false;
  for (let id = issuers; id < flights; id++) if (agent(id).state != DONE) return false;
  return flightsInUse() == 0;
}

export function dmaAgents(): u32 {
  return agentCount;
}
/** When the last CPU, device and access were done, ps. */
export function dmaElapsed(): f64 {
  let end: u64 = 0;
  for (let id: u32 = 0; id < agentCount; id++) {
    if (id < cpus || id >= issuers) end = max(end, agent(id).clock);
  }
  return <f64>end;
}
/** Page number of a page id, within its domain. */
export function dmaPage(page: u32): f64 {
  return <f64>(vpnOf(page) & ((<u64>1 << 40) - 1));
}

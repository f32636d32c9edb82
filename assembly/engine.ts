// The machine: agents in the order of their clocks, until the program needs more records or is over.
import { bank, banks, MAX_CONSUMERS, resetBanks } from './bank';
import { Agent, agent, agentCount, block, BLOCKED, DONE, initAgents, initCauses, nextAgent, runnables, staysNext } from './clock';
import { addConsumer as addHardware, initHardware } from './consumers';
import { countFor, countForAll, initCounters } from './counters';
import { initCpu, isInUserMode, isWorking, NEEDS_INPUT, stepCpu } from './cpu';
import { attend, initDevices, resetDevices, rouse, rouseAll, stepDevice } from './device';
import { initFaults } from './fault';
import { initFlights, lands, stepFlight } from './flight';
import { anyoneWaits, freeFrames, initFrames } from './frame';
import { stepIommu } from './iommu';
import { initHandler, stepHandler, stepWorker } from './handler';
import { cost, openArena, setting, settingU64 } from './layout';
import { logOff } from './log';
import {
  CAUSE_IDLE, COST_FAULT, COST_SYSCALL, SET_CPUS, SET_DEVICES, SET_FRAMES, SET_LOOKAHEAD, SET_MORE_AGENTS, SET_OUTSTANDING, SET_PAGES,
  SET_PRQ_WORKERS, SET_RECLAIM, SET_TABLES,
} from './ops';
import { initMmapLock } from './mmaplock';
import { initLists, initPaths, tableInserted } from './path';
import { stepLink } from './pending';
import { hasPri } from './pri';
import { programOf } from './program';
import { goesRound, gotOn, initProgress } from './progress';
import { initPrq } from './prq';
import { initQuantiles } from './random';
import { initRecent, takeNews } from './recent';
import { initReclaim, stepReclaim } from './reclaim';
import { initSafety } from './safety';
import { deviceOf, initNames, initSpace, placePage } from './space';
import { catchUp } from './shootdown';
import { addPage, addTable, firstTable, initTable, TABLE_LG2 } from './table';
import { initWork } from './work';
import { initWorkqueue } from './workqueue';

// Agents: CPUs, then the reclaim agent; then of each consumer the IOMMU's command processor, its link to the devices, the
// devices, their accesses in flight, the handler of page requests where they have a queue, and its workers.
let cpus: u32 = 0;
let reclaimer: u32 = 0;
const HARDWARE: u32 = 0;
const LINK: u32 = 1;
const DEVICE: u32 = 2;
/** Of each consumer the first agent; behind them all the number of agents. */
const bases: usize = memory.data(<i32>(MAX_CONSUMERS + 1) * 4);
let quantiles: usize = 0;
let wanting: u32 = 0;

/** Why `run` returned. */
export const WANTS_RECORDS: u32 = 0;
export const IS_OVER: u32 = 1;
export const IS_STUCK: u32 = 2; // nobody can go on: there are too few frames for what is in flight
export const GOES_ROUND: u32 = 3; // no CPU gets on: agents keep each other busy

/** Lays out a machine from the settings; the host has written them. */
export function init(): void {
  openArena();
  logOff();
  resetBanks();
  resetDevices();
  cpus = setting(SET_CPUS);
  reclaimer = cpus;
  initProgress();
  const base = cpus + 1;
  const end = endOf(base);
  store<u32>(bases, base);
  store<u32>(bases, end, 4);
  initCauses(end + setting(SET_MORE_AGENTS));
  initAgents(end + setting(SET_MORE_AGENTS));
  initCounters();
  quantiles = initQuantiles();
  initFrames(setting(SET_FRAMES));
  initNames();
  initTable(setting(SET_PAGES), setting(SET_TABLES));
  initSafety(setting(SET_PAGES));
  initSpace();
  initHardware(base + HARDWARE, base + LINK);
  initRecent();
  initLists();
  initMmapLock();
  initPaths(base, base + flights());
  initWork();
  initFaults(reclaimer);
  initReclaim();
  initCpu();
  block(agent(reclaimer), CAUSE_IDLE);
  begin(base);
}
function begin(base: u32): void {
  initFlights(base + flights(), base + HARDWARE);
  if (hasPri()) {
    const handler = base + flights() + setting(SET_OUTSTANDING);
    initPrq(handler);
    initHandler();
    initWorkqueue(handler + 1);
    block(agent(handler), CAUSE_IDLE);
  }
  initDevices(base + DEVICE);
  block(agent(base + HARDWARE), CAUSE_IDLE);
}
/** Of a consumer's agents the first access in flight. */
@inline
function flights(): u32 {
  return DEVICE + max<u32>(1, setting(SET_DEVICES));
}
/** One more consumer, by the settings that the host has written since; it is in hand then. Before the first page. */
export function addConsumer(): void {
  attend(0);
  const base = firstAgent(banks);
  addHardware(base + HARDWARE, base + LINK);
  attend(bank);
  store<u32>(bases + (<usize>banks << 2), endOf(base));
  begin(base);
}
/** The agent behind those of the consumer in hand, whose first is `base`. */
function endOf(base: u32): u32 {
  return base + flights() + setting(SET_OUTSTANDING) + (hasPri() ? 1 + setting(SET_PRQ_WORKERS) : 0);
}
/** The first agent of a consumer. */
export function firstAgent(consumer: u32): u32 {
  return load<u32>(bases + (<usize>consumer << 2));
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
  const key = (<u64>keyHigh << 32) | keyLow;
  addTable(key);
  tableInserted(firstTable(key << TABLE_LG2));
}

/** Runs until a CPU wants its next piece, or the program is over, or no CPU can get on. */
export function run(): u32 {
  gotOn();
  let id: i32 = -1;
  while (true) {
    if (id < 0 || !staysNext(agent(id))) id = nextAgent();
    if (id < 0) return over(u64.MAX_VALUE) ? IS_OVER : IS_STUCK;
    const who = agent(id);
    if (over(who.clock)) return IS_OVER;
    if (goesRound()) return GOES_ROUND;
    if (banks > 1) attend(consumerOf(id));
    if (<u32>id < cpus) {
      if (catchUp(who)) continue;
      const record = programOf(id).cursor;
      if (stepCpu(who, isInUserMode(who) ? horizon(who) : 0) == NEEDS_INPUT) {
        wanting = id;
        return WANTS_RECORDS;
      }
      if (programOf(id).cursor != record) gotOn();
    } else if (<u32>id == reclaimer) stepReclaim(who);
    else stepHardware(who);
    // A device that answers late has its chance at what has just been unmapped.
    if (takeNews()) rouseAll(who.clock);
  }
}
/** One turn of an agent of the consumer in hand. */
function stepHardware(who: Agent): void {
  const part = who.id - firstAgent(bank);
  if (part == HARDWARE) stepIommu(who);
  else if (part == LINK) stepLink(who);
  else if (part < flights()) {
    countFor(part - DEVICE);
    stepDevice(who);
  } else {
    const place = part - flights();
    if (place == setting(SET_OUTSTANDING)) stepHandler(who);
    else if (place > setting(SET_OUTSTANDING)) stepWorker(who);
    else {
      const device = deviceOf(place);
      countFor(device);
      if (stepFlight(who)) rouse(device, who.clock);
    }
  }
  countForAll();
}
/** Whose agent it is; CPUs and reclaim are the first's. */
function consumerOf(id: u32): u32 {
  let consumer: u32 = 0;
  while (consumer + 1 < banks && id >= firstAgent(consumer + 1)) consumer++;
  return consumer;
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

/** The CPU that wants its next piece. */
export function wantingCpu(): u32 {
  return wanting;
}

/**
 * Before this time nobody else can change what a CPU's hits depend on. A device by itself never does. A CPU in user mode must trap
 * first, which takes it some time.
 */
function horizon(who: Agent): u64 {
  const trap = cpus > 1 ? trapTime() : 0;
  const own = <u64>1 << who.id;
  const programs = ((<u64>2 << reclaimer) - 1) & ~own; // other CPUs, and reclaim
  let limit: u64 = u64.MAX_VALUE; // were there no traps, and
  let far: u64 = u64.MAX_VALUE; //   with them
  for (let left = runnables() & programs; left != 0; left &= left - 1) {
    const id = <u32>ctz(left);
    const other = agent(id);
    const turn = other.clock + tie(who, id);
    limit = min(limit, turn);
    far = min(far, id < cpus && isInUserMode(other) ? turn + trap : turn);
  }
  // One CPU goes on while reclaim waits; among several, whoever waits may be woken by anybody.
  if (cpus != 1 && anyWaits(programs & ~runnables())) {
    for (let left = runnables() & ~programs & ~own; left != 0; left &= left - 1) {
      const id = <u32>ctz(left);
      const turn = agent(id).clock + tie(who, id);
      limit = min(limit, turn);
      far = min(far, turn);
    }
  }
  return far > limit ? max(limit, min(far, firstOfDevices())) : far;
}
/** Whether one of some agents waits for what another does. */
function anyWaits(some: u64): bool {
  for (; some != 0; some &= some - 1) {
    const who = agent(<u32>ctz(some));
    if (who.state == BLOCKED && who.waitsFor != CAUSE_IDLE) return true;
  }
  return false;
}
/** 1 if the agent goes before another whose clock agrees. */
@inline
function tie(who: Agent, id: u32): u64 {
  return who.id < id ? 1 : 0;
}
/**
 * What a trap takes at least. 0 where reclaim sleeps and can be woken before it is over: by a fault that finds no frame, or a page
 * that is being migrated, or by the end of a page request while somebody waits for frames.
 */
function trapTime(): u64 {
  const sleeps = agent(reclaimer).state == BLOCKED && agent(reclaimer).waitsFor == CAUSE_IDLE;
  if (setting(SET_RECLAIM) != 0 && sleeps) {
    if (freeFrames() < agentCount || anyoneWaits()) return 0;
    for (let id: u32 = 0; id < cpus; id++) if (isWorking(agent(id))) return 0;
  }
  return min(settingU64(SET_LOOKAHEAD), min(cost(COST_FAULT), cost(COST_SYSCALL)));
}
/** When a device, an access that is not translated yet, or who handles page requests has its next turn: it may change a PTE. */
function firstOfDevices(): u64 {
  let clock: u64 = u64.MAX_VALUE;
  for (let consumer: u32 = 0; consumer < banks; consumer++) {
    const behind = ((<u64>2 << (firstAgent(consumer + 1) - 1)) - 1) & (u64.MAX_VALUE << (firstAgent(consumer) + DEVICE));
    for (let left = runnables() & behind; left != 0; left &= left - 1) {
      const who = agent(<u32>ctz(left));
      if (!lands(who)) clock = min(clock, who.clock);
    }
  }
  return clock;
}

/** When the last CPU came to its end, in picoseconds. */
export function elapsed(): f64 {
  let end: u64 = 0;
  for (let id: u32 = 0; id < cpus; id++) end = max(end, agent(id).clock);
  return <f64>end;
}
export function agents(): u32 {
  return agentCount;
}

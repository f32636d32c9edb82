// An IOMMU's queue by itself, for who holds its registers: software outside writes slots and registers, and lets time pass.
import { agent, block, initAgents, initCauses, nextAgent } from './clock';
import { initCounters } from './counters';
import { initEventLog } from './eventlog';
import { initIommu, isDrained, stepIommu, writeTail } from './iommu';
import { openArena } from './layout';
import { CAUSE_IDLE } from './ops';
import { initPasid, markDeferred } from './pasid';
import { initPending, isAsked, stepLink } from './pending';
import { clearFaults, clearWaited, initRegisters, raiseStrange, restartCommands } from './registers';
import { headSlot, initRing, rouse, setSlotBytes, slotAt, slotBytes } from './ring';
import { initSafety } from './safety';
import { initNames, initSpace } from './space';
import { initTable } from './table';

const HARDWARE: u32 = 0;
const LINK: u32 = 1;

let now: u64 = 0;

/** Lays out a queue from the settings; `bytes` of a slot are 16 or 32. */
export function unitInit(bytes: u32): void {
  openArena();
  now = 0;
  initCauses(2);
  initAgents(2);
  initCounters();
  initNames();
  initTable(1, 1);
  initSafety(1);
  initSpace();
  initRegisters();
  initEventLog();
  initRing();
  setSlotBytes(bytes);
  initIommu();
  initPending(HARDWARE, LINK);
  initPasid();
  block(agent(HARDWARE), CAUSE_IDLE);
}
/** Address of a slot, whose words software writes. */
export function unitSlot(slot: u32): usize {
  return slotAt(slot);
}
/** The head register, in bytes. */
export function unitHead(): u32 {
  return headSlot() * slotBytes();
}
/** Software writes the tail register, in bytes. */
export function unitTail(bytes: u32): void {
  writeTail(bytes);
  rouse(agent(HARDWARE), now);
}
/** Software writes ones to FSTS, to ICS.IWC; restarts AMD's command buffer (CmdBufEn 0, then 1). */
export function unitClear(faults: u32): void {
  clearFaults(faults);
  rouse(agent(HARDWARE), now);
}
export function unitClearWaited(): void {
  clearWaited();
}
export function unitRestart(): void {
  restartCommands();
  rouse(agent(HARDWARE), now);
}
/** Software turns the queue off: whether all that was submitted is complete and the last of it was a wait. */
export function unitDisable(): bool {
  return isDrained();
}
/** A device answers an invalidation under an ITag. Those that it was asked for are answered without that. */
export function unitAnswer(device: u32, itag: u32): void {
  if (!isAsked(device, itag)) raiseStrange(device);
}

/** Software puts the invalidation of a PASID off. Returns whether nothing is left to flush. */
export function unitDefer(): bool {
  return markDeferred();
}

/** Lets time pass, picoseconds. */
export function unitRun(ps: f64): void {
  now += <u64>ps;
  for (let id = nextAgent(); id >= 0 && agent(id).clock <= now; id = nextAgent()) {
    if (<u32>id == HARDWARE) stepIommu(agent(id));
    else stepLink(agent(id));
  }
}

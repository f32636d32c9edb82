// What software sees of an IOMMU beside its queue: fault status, error record and completion event of VT-d (specification
// 11.4.7, 11.4.9; fields as in Linux drivers/iommu/intel/iommu.h), status of AMD (48882, 3.4.13).
import { swap } from './bank';
import { region } from './layout';

/** VT-d FSTS: an invalid descriptor or tail, a device's malformed completion, a device that did not answer in time. */
export const FSTS_IQE: u32 = 1 << 4;
export const FSTS_ICE: u32 = 1 << 5;
export const FSTS_ITE: u32 = 1 << 6;
/** Hints of IQERCD.IQEI about the tail (assumed: the numbers are from memory, and no driver reads them). */
export const IQEI_TAIL: u32 = 2;
export const IQEI_ALIGNMENT: u32 = 6;

const ICS_IWC: u32 = 1; //        a wait with IF has completed
const IECTL_MASKED: u32 = 1 << 31;
const IECTL_PENDING: u32 = 1 << 30;

/** AMD Status. */
export const STATUS_EVENT_OVERFLOW: u32 = 1;
export const STATUS_EVENT: u32 = 1 << 1;
const STATUS_WAIT: u32 = 1 << 2;
export const STATUS_EVENT_RUN: u32 = 1 << 3;
export const STATUS_COMMAND_RUN: u32 = 1 << 4;
const STATUS_PPR_OVERFLOW: u32 = 1 << 5;
const STATUS_PPR_RUN: u32 = 1 << 7;
/** VT-d PRS: the page request queue was full. */
const PRS_PRO: u32 = 1 << 1;

/** The host reads it as it stands. */
@unmanaged
export class Registers {
  fsts: u32;
  iqei: u32;
  itesid: u32; // device that did not answer
  icesid: u32; // device that answered what it was not asked
  ics: u32;
  iectl: u32;
  status: u32; // AMD
  prs: u32;
}

export let registers: Registers = changetype<Registers>(0);

export function swapRegisters(): void {
  registers = swap(registers);
}

/** Both command sets run, VT-d's completion interrupt is masked, as after reset. */
export function initRegisters(): void {
  registers = changetype<Registers>(region(offsetof<Registers>()));
  registers.iectl = IECTL_MASKED;
  registers.status = STATUS_COMMAND_RUN | STATUS_EVENT_RUN | STATUS_PPR_RUN;
}
export function registersAt(): usize {
  return changetype<usize>(registers);
}

/** Whether an error keeps the head where it is. */
@inline
export function halted(): bool {
  return (registers.fsts & (FSTS_IQE | FSTS_ITE)) != 0 || (registers.status & STATUS_COMMAND_RUN) == 0;
}
/** A descriptor or the tail is invalid: nothing is fetched until software has cleared it. */
export function raiseInvalid(reason: u32): void {
  registers.fsts |= FSTS_IQE;
  registers.iqei = reason;
}
/** A device has answered what it was not asked: VT-d notes it and goes on. */
export function raiseStrange(device: u32): void {
  registers.fsts |= FSTS_ICE;
  registers.icesid = device;
}
/** A wait with an interrupt has completed, its status write being visible already. */
export function raiseWaited(amd: bool): void {
  if (amd) {
    registers.status |= STATUS_WAIT;
    return;
  }
  if (registers.ics == 0 && (registers.iectl & IECTL_MASKED) != 0) registers.iectl |= IECTL_PENDING;
  registers.ics = ICS_IWC;
}
/** Software writes one to ICS.IWC: a pending interrupt is gone with it. */
export function clearWaited(): void {
  registers.ics = 0;
  registers.iectl &= ~IECTL_PENDING;
}
/** The page request queue is full: nothing more is written to it, until software has cleared this. */
export function raiseFull(amd: bool): void {
  if (amd) registers.status = (registers.status | STATUS_PPR_OVERFLOW) & ~STATUS_PPR_RUN;
  else registers.prs |= PRS_PRO;
}
export function isFull(amd: bool): bool {
  return amd ? (registers.status & STATUS_PPR_RUN) == 0 : (registers.prs & PRS_PRO) != 0;
}
/** Software clears it, and starts AMD's log anew (Linux 6.6 amd/iommu.c amd_iommu_restart_ppr_log). */
export function clearFull(amd: bool): void {
  if (amd) registers.status = (registers.status & ~STATUS_PPR_OVERFLOW) | STATUS_PPR_RUN;
  else registers.prs &= ~PRS_PRO;
}
/** Software starts AMD's command buffer anew. */
export function restartCommands(): void {
  registers.status |= STATUS_COMMAND_RUN;
}
/** Software writes ones to FSTS. */
@inline
export function clearFaults(bits: u32): void {
  registers.fsts &= ~bits;
}

// AMD's event log: entries of 16 bytes, written by hardware, read by software (48882, 2.5). Full, it drops what comes and
// says so until software has emptied and restarted it.
import { swap } from './bank';
import { setWords } from './command';
import { bump, N_EVENTS } from './counters';
import { fixed, region } from './layout';
import { registers, STATUS_EVENT, STATUS_EVENT_OVERFLOW, STATUS_EVENT_RUN } from './registers';

const ENTRY_BYTES: usize = 16;
/** Entries of the log (Linux amd_iommu_types.h EVT_BUFFER_SIZE: 8 KiB). */
export const EVENT_ENTRIES: u32 = 512;
export const EVENT_ILLEGAL_COMMAND: u64 = 5;
export const EVENT_IOTLB_TIMEOUT: u64 = 7;
const CODE_SHIFT: u64 = 60;

let entries: usize = 0;
let state: usize = 0; // u32 head, tail

export function initEventLog(): void {
  entries = fixed(<usize>EVENT_ENTRIES * ENTRY_BYTES);
  state = region(8);
}
export function swapEventLog(): void {
  entries = swap(entries);
  state = swap(state);
}
/** Address of the entries; those from head to tail are unread. */
export function eventLogAt(): usize {
  return entries;
}
export function eventHead(): u32 {
  return load<u32>(state);
}
export function eventTail(): u32 {
  return load<u32>(state, 4);
}
/** Software has read up to here. */
export function setEventHead(head: u32): void {
  store<u32>(state, head);
}
/** Software restarts a log that has overflowed. */
export function restartEventLog(): void {
  registers.status = (registers.status & ~STATUS_EVENT_OVERFLOW) | STATUS_EVENT_RUN;
}

/** The driver reads all of it, and restarts one that has overflowed (Linux amd_iommu_int_thread). */
export function readEvents(): void {
  registers.status &= ~STATUS_EVENT;
  setEventHead(eventTail());
  restartEventLog();
}

/** Writes an entry: its code, device, and address. */
export function logEvent(code: u64, device: u32, address: u64): void {
  if ((registers.status & STATUS_EVENT_RUN) == 0) return;
  const tail = eventTail();
  const next = (tail + 1) % EVENT_ENTRIES;
  if (next == eventHead()) {
    registers.status = (registers.status | STATUS_EVENT_OVERFLOW) & ~STATUS_EVENT_RUN;
    return;
  }
  setWords(entries + <usize>tail * ENTRY_BYTES, (code << CODE_SHIFT) | device, address);
  store<u32>(state, next, 4);
  registers.status |= STATUS_EVENT;
  bump(N_EVENTS);
}

// The event log: who did what to which page, when. Off unless the host asks for it; every place that writes to it is off
// the path of hits. One log serves the drawing of schedules and timelines.
import { IS_COMMON } from './common';
import { region } from './layout';

// What happened. `what` and `detail` of each kind:
export const LOG_STEP: u32 = 1; //      a step of a list: step, occasion
export const LOG_ACCESS: u32 = 2; //    a CPU's access: BY_*, 1 = write
export const LOG_FAULT: u32 = 3; //     a fault begins: what it installs (MODE_*, or MODE_COPY), 1 = write
export const LOG_DEVICE: u32 = 4; //    a device's access: AT_* of a flight, 1 = write
export const LOG_COMMAND: u32 = 5; //   an invalidation command: its counter, COMMAND_*
export const LOG_WINDOW: u32 = 6; //    a page's window of stale copies: 1 opens, 0 closes
export const LOG_DUE: u32 = 7; //       an obligation falls due while its window is open
export const LOG_BROKEN: u32 = 8; //    a property breaks: its number
export const LOG_FREE: u32 = 9; //      a frame is given back: frame
export const LOG_LOCK: u32 = 10; //     kind of lock, LOCK_*; number: which of its kind
export const LOG_ACTION: u32 = 11; //   an agent of a race comes to an action of its script: its index
export const LOG_CALL: u32 = 12; //     a call of the DMA API: its row among the paths, CALL_*; number: of the mapping
export const LOG_QUEUE: u32 = 13; //    a flush queue: QUEUE_*; number: of the domain

// How a CPU's access was served.
export const BY_TLB: u32 = 0;
export const BY_STALE: u32 = 1;
export const BY_WALK: u32 = 2;
export const BY_FILL: u32 = 3; // by what its walk has read before
export const BY_LATE: u32 = 4; // by a stale entry that a call which has returned should have ended

/** What a fault installs where it copies; the others are those of a list. */
export const MODE_COPY: u32 = 3;

// Where a device's access is.
export const DEVICE_HIT: u32 = 0; //    the device TLB has the translation
export const DEVICE_ASKS: u32 = 1; //   it asks the IOMMU
export const IOTLB_HIT: u32 = 2;
export const IOTLB_MISS: u32 = 3;
export const WALK_DONE: u32 = 4; //     the walk has found the page
export const WALK_FAULT: u32 = 5; //    the walk has not
export const PAGE_REQUEST: u32 = 6;
export const DEVICE_FILL: u32 = 7; //   the translation is at the device
export const LANDS: u32 = 8;
export const LANDS_STALE: u32 = 9; //   by a translation that is no longer the PTE's
export const DENIED: u32 = 10;
export const IOTLB_FILL: u32 = 11; //   what the walk has read goes into the IOTLB, if it may

export const COMMAND_FETCHED: u32 = 0;
export const COMMAND_DONE: u32 = 1;
export const COMMAND_ARRIVES: u32 = 2; // an ATS request is at the device
export const COMMAND_QUEUED: u32 = 3; // it is in the ring; number, as of FETCHED: its slot
export const COMMAND_SENT: u32 = 4; //  what does not end with its fetch, a request or a wait, has begun; number: as of ARRIVES, DONE
export const COMMAND_REFUSED: u32 = 5; // the head rests on it; number: its slot

export const LOCK_TAKEN: u32 = 0;
export const LOCK_WAITS: u32 = 1;
export const LOCK_GIVEN: u32 = 2;

export const CALL_BEGINS: u32 = 0;
export const CALL_RETURNS: u32 = 1;

export const QUEUE_ENTERS: u32 = 0; //  an unmap is put off
export const QUEUE_LEAVES: u32 = 1; //  its IOVA is free
export const QUEUE_FLUSHES: u32 = 2; // a flush of the domain begins
export const QUEUE_FLUSHED: u32 = 3;

/** u32 kind, agent, what, detail; u64 time in ps; u32 page id + 1 or 0, number. */
export const LOG_BYTES: u32 = 32;

let rows: usize = 0;
let capacity: u32 = 0;
let length: u32 = 0;
let lost: u32 = 0;
// What is written: kinds as bits, and the stretch of time.
let kinds: u32 = ~0;
let since: u64 = 0;
let until: u64 = ~0;

/** Room for `count` events; 0 = the log is off. */
export function logInit(count: u32): usize {
  capacity = count;
  length = lost = 0;
  kinds = ~0;
  since = 0;
  until = ~0;
  rows = region(<usize>count * LOG_BYTES);
  return rows;
}
/** Only events of these kinds, a bit each, and of this time, both ends included, are written from now on; ps. */
export function logSelect(bits: u32, from: f64, to: f64): void {
  kinds = bits;
  since = <u64>from;
  until = <u64>to;
}
/** The engine is laid out anew: there is no log. */
export function logOff(): void {
  capacity = length = lost = 0;
}
/** Events in it. */
export function logLength(): u32 {
  return length;
}
/** Events for which there was no room. */
export function logLost(): u32 {
  return lost;
}
/** Forgets what is in it; the host has read it. */
export function logClear(): void {
  length = lost = 0;
}

/** Writes an event. `page` is an id + 1, or 0; `number` tells apart what has no name. */
@inline
export function note(kind: u32, agent: u32, what: u32, detail: u32, page: u32, now: u64, number: u32 = 0): void {
  if (!IS_COMMON && capacity != 0) write(kind, agent, what, detail, page, now, number);
}
function write(kind: u32, agent: u32, what: u32, detail: u32, page: u32, now: u64, number: u32): void {
  if (((kinds >> kind) & 1) == 0 || now < since || now > until) return;
  if (length == capacity) {
    lost++;
    return;
  }
  const at = rows + <usize>length * LOG_BYTES;
  length++;
  store<u32>(at, kind);
  store<u32>(at, agent, 4);
  store<u32>(at, what, 8);
  store<u32>(at, detail, 12);
  store<u64>(at, now, 16);
  store<u32>(at, page, 24);
  store<u32>(at, number, 28);
}

// The records of a DMA recording, in rows of RECORD_BYTES, those of each actor in its order: CPUs, then devices. Row: f64 think
// time in ps, f64 time, u32 kind and above it the row's number, u32 values; RECORD_BYTES in all.
//
//   MAP     instance, pages of its IOVA allocation (0: behind the instance before it), 1 if the device may write
//   UNMAP   instance, instances, accesses that it waits for
//   ACCESS  instance, page, write; time: 0 or 1 + ps since its unmap began
//   RAW     an access to an IOVA that nothing was ever mapped at
//
// The host gives each actor so many rows at a time, WINDOW at most, in the same place: to write memory for the first time costs
// more than all else that becomes of a row. An actor's row is there until the actor asks for the next.
import { fixed, region, setting } from './layout';
import { SET_CPUS, SET_DEVICES, SET_RECORDS } from './ops';
import { gotOn, stopRun, STOP_STARVED } from './progress';

export const RECORD_BYTES: u32 = 32;
export const RECORD_MAP: u32 = 1;
export const RECORD_UNMAP: u32 = 2;
export const RECORD_ACCESS: u32 = 3;
export const RECORD_RAW: u32 = 4;
/** Bits of the kind, below the number of a row. */
export const KIND_BITS: u32 = 3;

/** Rows of an actor that are in memory at a time. */
const WINDOW: u32 = 1 << 11;

/** What an actor has of its rows: addresses of the next one and of the end of those that are there, and how many the host has. */
@unmanaged
class Turn {
  next: u32;
  end: u32;
  left: u32;
}

let window: u32 = 0; //  rows of one actor
let rows: usize = 0; //  RECORD_BYTES[window] of each actor
let turns: usize = 0; // Turn[actors]

export function initRecords(): void {
  const actors: usize = <usize>setting(SET_CPUS) + setting(SET_DEVICES);
  window = min(setting(SET_RECORDS), WINDOW);
  rows = fixed(actors * window * RECORD_BYTES);
  turns = region(actors * offsetof<Turn>());
}
@inline
function turnOf(actor: u32): Turn {
  return changetype<Turn>(turns + <usize>actor * offsetof<Turn>());
}
/** Rows that the host may give an actor at a time. */
export function windowRows(): u32 {
  return window;
}
/** Where it puts them. */
export function rowsAt(actor: u32): usize {
  return rows + <usize>(actor * window) * RECORD_BYTES;
}
/** It has put `count` rows there, and has `left` more. */
export function giveRows(actor: u32, count: u32, left: u32): void {
  const turn = turnOf(actor);
  turn.next = <u32>rowsAt(actor);
  turn.end = turn.next + count * RECORD_BYTES;
  turn.left = left;
}

/** Moves the actor to its next record. Returns its row, or 0: there is none, or it has to be given first. */
export function nextRecord(actor: u32): usize {
  gotOn();
  const turn = turnOf(actor);
  const row = turn.next;
  if (row == turn.end) {
    if (turn.left != 0) stopRun(STOP_STARVED + actor);
    return 0;
  }
  turn.next = row + RECORD_BYTES;
  return row;
}
/** Whether the host has more rows of the actor than have been given. */
@inline
export function hasMore(actor: u32): bool {
  return turnOf(actor).left != 0;
}
@inline
export function thinkOf(row: usize): u64 {
  return <u64>load<f64>(row);
}
/** Of an access: 0, or 1 + ps since its unmap began. */
@inline
export function delayOf(row: usize): u64 {
  return <u64>load<f64>(row, 8);
}
@inline
export function opOf(row: usize): u32 {
  return load<u32>(row, 16) & ((1 << KIND_BITS) - 1);
}
/** Number of the row among those of all actors, one actor after the other. */
@inline
export function numberOf(row: usize): u32 {
  return load<u32>(row, 16) >> KIND_BITS;
}
@inline
export function fieldOf(row: usize, index: u32): u32 {
  return load<u32>(row + (<usize>index << 2), 20);
}
/** Keeps a row beyond the actor's next one. */
@inline
export function copyRow(to: usize, row: usize): void {
  for (let i: usize = 0; i < RECORD_BYTES; i += 8) store<u64>(to + i, load<u64>(row + i));
}

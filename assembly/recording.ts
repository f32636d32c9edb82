// The records of a DMA recording, all in memory, in rows of RECORD_BYTES, those of each actor in its order and the actors one
// after the other: CPUs, then devices. Row: f64 think time in ps, f64 time, u32 op, u32 values; RECORD_BYTES in all.
//
//   MAP     instance, pages of its IOVA allocation (0: behind the instance before it), 1 if the device may write
//   UNMAP   instance, instances, accesses that it waits for
//   ACCESS  instance, page, write; time: 0 or 1 + ps since its unmap began
//   RAW     an access to an IOVA that nothing was ever mapped at
import { region, setting } from './layout';
import { SET_CPUS, SET_DEVICES, SET_RECORDS } from './ops';
import { gotOn } from './progress';

export const RECORD_BYTES: u32 = 32;
export const RECORD_MAP: u32 = 1;
export const RECORD_UNMAP: u32 = 2;
export const RECORD_ACCESS: u32 = 3;
export const RECORD_RAW: u32 = 4;

let rows: usize = 0; //  RECORD_BYTES[records], written by the host
let turns: usize = 0; // u32[2 * actors], written by the host: the next row of each, and the end of its rows

export function initRecords(): void {
  rows = region(<usize>setting(SET_RECORDS) * RECORD_BYTES);
  turns = region(<usize>(setting(SET_CPUS) + setting(SET_DEVICES)) << 3);
}
export function recordsAt(): usize {
  return rows;
}
export function turnsAt(): usize {
  return turns;
}
@inline
function rowAt(index: u32): usize {
  return rows + <usize>index * RECORD_BYTES;
}

/** Moves the actor to its next record. Returns its number + 1, or 0 at the end. */
export function nextRecord(actor: u32): u32 {
  gotOn();
  const at = turns + (<usize>actor << 3);
  const next = load<u32>(at);
  if (next == load<u32>(at, 4)) return 0;
  store<u32>(at, next + 1);
  return next + 1;
}
@inline
export function thinkOf(record: u32): u64 {
  return <u64>load<f64>(rowAt(record));
}
/** Of an access: 0, or 1 + ps since its unmap began. */
@inline
export function delayOf(record: u32): u64 {
  return <u64>load<f64>(rowAt(record), 8);
}
@inline
export function opOf(record: u32): u32 {
  return load<u32>(rowAt(record), 16);
}
@inline
export function fieldOf(record: u32, index: u32): u32 {
  return load<u32>(rowAt(record) + (<usize>index << 2), 20);
}

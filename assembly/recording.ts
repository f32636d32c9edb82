// The records of a DMA recording, all in memory: each agent reads its own in order. Row, f64[ROW_WORDS]: op, actor, think
// time in ps, fields. Actors are CPUs, then devices.
//
//   MAP     instance, pages of its IOVA allocation (0: behind the instance before it), 1 if the device may write
//   UNMAP   instance, instances, accesses that it waits for
//   ACCESS  instance, page, write, 0 or 1 + ps since its unmap began
//   RAW     an access to an IOVA that nothing was ever mapped at
import { region, setting } from './layout';
import { SET_CPUS, SET_DEVICES, SET_RECORDS } from './ops';
import { gotOn } from './progress';

export const RECORD_WORDS: u32 = 8;
export const RECORD_MAP: u32 = 1;
export const RECORD_UNMAP: u32 = 2;
export const RECORD_ACCESS: u32 = 3;
export const RECORD_RAW: u32 = 4;

let rows: usize = 0; //    f64[records * RECORD_WORDS], written by the host
let cursors: usize = 0; // u32[actors]: where to look for the next record
let count: u32 = 0;

export function initRecords(): void {
  count = setting(SET_RECORDS);
  rows = region(<usize>count * RECORD_WORDS << 3);
  cursors = region(<usize>(setting(SET_CPUS) + setting(SET_DEVICES)) << 2);
}
export function recordsAt(): usize {
  return rows;
}
@inline
function rowAt(index: u32): usize {
  return rows + (<usize>index * RECORD_WORDS << 3);
}

/** Moves the actor to its next record. Returns its number + 1, or 0 at the end. */
export function nextRecord(actor: u32): u32 {
  gotOn();
  const at = cursors + (<usize>actor << 2);
  for (let i = load<u32>(at); i < count; i++) {
    if (<u32>load<f64>(rowAt(i), 8) != actor) continue;
    store<u32>(at, i + 1);
    return i + 1;
  }
  store<u32>(at, count);
  return 0;
}
@inline
export function opOf(record: u32): u32 {
  return <u32>load<f64>(rowAt(record));
}
@inline
export function thinkOf(record: u32): u64 {
  return <u64>load<f64>(rowAt(record), 16);
}
@inline
export function fieldOf(record: u32, index: u32): u32 {
  return <u32>load<f64>(rowAt(record) + (<usize>(3 + index) << 3));
}
@inline
export function timeOf(record: u32, index: u32): u64 {
  return <u64>load<f64>(rowAt(record) + (<usize>(3 + index) << 3));
}

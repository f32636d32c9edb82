// What order replay predicts, as rows that the host drains.
import { region } from './layout';

// A row, f64[ROW_WORDS]: kind, event, cause, values, value...
export const ROW_WORDS: u32 = 10;
export const ROW_HIT: u32 = 0;
export const ROW_FILL: u32 = 1;
export const ROW_FAULT: u32 = 2;
export const ROW_DESCRIPTOR: u32 = 3;
export const ROW_WAIT: u32 = 4;
export const ROW_IOVA_FREE: u32 = 5;
export const ROW_FULL_RESET: u32 = 6;

export const WHY_NONE: u32 = 0;
export const WHY_ENABLE: u32 = 1;
export const WHY_ATTACH: u32 = 2;
export const WHY_MAP: u32 = 3;
export const WHY_STRICT: u32 = 4;
export const WHY_QUEUE_FULL: u32 = 5;
export const WHY_TIMER: u32 = 6;

/** Rows at least, so that the host is called once for many events. */
const ROWS: u32 = 1 << 14;

let rows: usize = 0; //  f64[capacity * ROW_WORDS]
let capacity: u32 = 0;
let count: u32 = 0;
let reserve: u32 = 0; // rows that one event may need
let event: u32 = 0; //   event in hand

/** Room for rows; one event writes at most `most`. */
export function initRows(most: u32): void {
  reserve = most;
  capacity = max(ROWS, most * 2);
  rows = region(<usize>capacity * ROW_WORDS << 3);
  count = 0;
}

/** Whether another event's rows are sure to fit. */
@inline
export function rowsFit(): bool {
  return count + reserve <= capacity;
}

/** The rows that follow belong to event `index` of the block. */
@inline
export function beginEvent(index: u32): void {
  event = index;
}

export function orderRows(): usize {
  return rows;
}
/** Rows written since the last call. */
export function orderDrain(): u32 {
  const drained = count;
  count = 0;
  return drained;
}

/** A row with its first two values; returns its address. */
export function row(kind: u32, values: u32, first: f64, second: f64): usize {
  const at = rows + <usize>count * (ROW_WORDS << 3);
  count++;
  store<f64>(at, <f64>kind);
  store<f64>(at, <f64>event, 1 << 3);
  store<f64>(at, <f64>WHY_NONE, 2 << 3);
  store<f64>(at, <f64>values, 3 << 3);
  store<f64>(at, first, 4 << 3);
  store<f64>(at, second, 5 << 3);
  return at;
}

/** Further values of a row. */
@inline
export function setValue(at: usize, index: u32, value: f64): void {
  store<f64>(at + (<usize>(index + 4) << 3), value);
}
@inline
export function setCause(at: usize, cause: u32): void {
  store<f64>(at, <f64>cause, 2 << 3);
}

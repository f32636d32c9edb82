// Which way of a full set makes room, where ways keep their places: one mark, a u32, beside each way. LRU and FIFO need
// no marks: cache.ts keeps their sets in order.
//
// PLRU    a binary tree over the ways: a node splits ways first .. end-1 at (first + end) / 2, rounded down, and its bit is
//         the mark of the way at the split, which no other node has. 0: the next victim is on the left. A use turns the
//         nodes above the way to the other side. Any number of ways: halves differ by one way at most, and a way in a
//         smaller half makes room more often.
// RANDOM  every way alike.
// SRRIP   2-bit re-reference prediction, hit priority (Jaleel et al., ISCA 2010): filled with 2, a hit sets 0, the first
//         way with 3 makes room; while there is none, all age by 1.
// LFU     fewest accesses since the fill, the first such way, as DynamoRIO's drcachesim counts (caching_device.cpp
//         replace_which_way, access_update).
//
// An empty way is filled before any other makes room, the first one first. Invalidation clears the way's mark, but for
// PLRU, whose tree stays: assumed, no manual says.
export const LRU: u32 = 0;
export const FIFO: u32 = 1;
export const PLRU: u32 = 2;
export const RANDOM: u32 = 3;
export const SRRIP: u32 = 4;
export const LFU: u32 = 5;

const LONG: u32 = 2; //    SRRIP: re-referenced after a long interval
const DISTANT: u32 = 3; // after a distant one

/** Whether ways keep their places. */
@inline
export function inPlace(replacement: u32): bool {
  return replacement > FIFO;
}
/** Whether accesses after the first of a run tell it something. */
@inline
export function countsRuns(replacement: u32): bool {
  return replacement >= SRRIP;
}

@inline
function mark(marks: usize, way: u32): u32 {
  return load<u32>(marks + (<usize>way << 2));
}
@inline
function setMark(marks: usize, way: u32, value: u32): void {
  store<u32>(marks + (<usize>way << 2), value);
}

/** `way` of the set was hit, `times` times in a row. */
export function used(replacement: u32, marks: usize, ways: u32, way: u32, times: u32): void {
  if (replacement == PLRU) turn(marks, ways, way);
  else if (replacement == SRRIP) setMark(marks, way, 0);
  else if (replacement == LFU) {
    const count = mark(marks, way);
    setMark(marks, way, count + min(times, u32.MAX_VALUE - count));
  }
}

/** `way` of the set has a new entry. */
export function filled(replacement: u32, marks: usize, ways: u32, way: u32): void {
  if (replacement == PLRU) turn(marks, ways, way);
  else if (replacement == SRRIP) setMark(marks, way, LONG);
  else if (replacement == LFU) setMark(marks, way, 1);
}

/** `way` of the set has been emptied. */
export function emptied(replacement: u32, marks: usize, way: u32): void {
  if (countsRuns(replacement)) setMark(marks, way, 0);
}

/** The way of a full set that makes room. `random`: 32 bits, for RANDOM alone. */
export function victim(replacement: u32, marks: usize, ways: u32, random: u32): u32 {
  if (replacement == PLRU) return pointedAt(marks, ways);
  if (replacement == RANDOM) return <u32>((<u64>random * ways) >> 32);
  let found: u32 = 0;
  for (let way: u32 = 1; way < ways; way++) {
    if (replacement == SRRIP ? mark(marks, way) > mark(marks, found) : mark(marks, way) < mark(marks, found)) found = way;
  }
  if (replacement == SRRIP) {
    const age = DISTANT - mark(marks, found);
    for (let way: u32 = 0; way < ways; way++) setMark(marks, way, mark(marks, way) + age);
  }
  return found;
}

/** Turns the nodes above `way` away from it. */
function turn(marks: usize, ways: u32, way: u32): void {
  let first: u32 = 0;
  let end = ways;
  while (end - first > 1) {
    const split = (first + end) >> 1;
    if (way < split) {
      setMark(marks, split, 1);
      end = split;
    } else {
      setMark(marks, split, 0);
      first = split;
    }
  }
}
function pointedAt(marks: usize, ways: u32): u32 {
  let first: u32 = 0;
  let end = ways;
  while (end - first > 1) {
    const split = (first + end) >> 1;
    if (mark(marks, split) != 0) first = split;
    else end = split;
  }
  return first;
}

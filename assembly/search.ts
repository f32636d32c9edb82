// Every schedule of a race, depth first. A state that has been seen is not gone through again, which leaves out no state
// that can be reached: what happens from a state on depends on nothing but the state. Where a property breaks, the search
// goes on for a shorter schedule, and comes back to a state that it reaches with fewer steps than before.
import { arenaTop, reach, region } from './layout';
import { isNamed, raceEnabled, raceOver, raceShrink, raceStep } from './race';
import { countersAt } from './counters';
import { hashState, restoreState, saveState, stateBytes } from './snapshot';

// What became of a search.
export const SEARCH_GOES_ON: u32 = 0;
export const SEARCH_HOLDS: u32 = 1; //   all states seen, no property broke
export const SEARCH_BROKEN: u32 = 2; //  the schedule in hand is a shortest one that breaks a property
export const SEARCH_BOUNDED: u32 = 3; // there was no room for all states, or for a schedule this long
export const SEARCH_STUCK: u32 = 4; //   some schedule ends before the scripts do

/** Counters that must not grow, at most. */
export const MAX_WATCHED: u32 = 16;

/** One state on the way from the start. */
@unmanaged
class Stop {
  untried: u32; // agents whose step has not been tried from here
  taken: u32; //   agent whose step is being tried
  length: u32; //  steps of named agents up to here
}
const STOP_BYTES: usize = offsetof<Stop>();

let stops: usize = 0; //   Stop[most]
let copies: usize = 0; //  the state at each stop
let tables: usize = 0; //  tables of 2^FIRST_LG2, twice as many, .. slots: 16 bytes a slot, one table behind the other
let seen: usize = 0; //    the one in use: {u64 hash of a state, 0 = empty; u32 fewest steps it was reached with; u32}[slots]
let watched: usize = 0; // u32[MAX_WATCHED], written by the host: counter + 1; 0 = none
let counts: usize = 0; //  u64[MAX_WATCHED]: what they were before the step in hand
let best: usize = 0; //    u32[most]: agents of the schedule found
let slots: u32 = 0; //     of the table in use
let mostSlots: u32 = 0;
let most: u32 = 0; //      stops of the longest schedule
let depth: u32 = 0; //     stops in hand
let states: u32 = 0;
let bestSteps: u32 = 0;
let bound: u32 = 0; //     longest schedule still wanted
let shortening: bool = false;
let broken: bool = false;
let collecting: bool = false;
let grown: u32 = 0; //     watched counters that have grown, a bit each
let stuck: bool = false;
let steps: f64 = 0;

/** Slots of the first table: a small race touches little memory. */
const FIRST_LG2: u32 = 10;
/** log2 of the bytes of a slot. */
const SLOT_LG2: usize = 4;

/** Room for a search: 2^slotsLg2 states, schedules of `longest` steps. */
export function searchInit(slotsLg2: u32, longest: u32): void {
  mostSlots = 1 << max(slotsLg2, FIRST_LG2);
  most = longest;
  stops = region(<usize>(most + 1) * STOP_BYTES);
  copies = region(<usize>(most + 1) * stateBytes());
  watched = region(<usize>MAX_WATCHED << 2);
  counts = region(<usize>MAX_WATCHED << 3);
  best = region(<usize>most << 2);
  tables = arenaTop();
}
export function watchedAt(): usize {
  return watched;
}
export function scheduleAt(): usize {
  return best;
}
/** Steps of the schedule found. */
export function scheduleSteps(): u32 {
  return bestSteps;
}
export function statesSeen(): u32 {
  return states;
}
export function stepsTaken(): f64 {
  return steps;
}

/**
 * Begins at the state that the machine is in. `collects`: no counter stops the search, which goes through all states and notes
 * which of them grow.
 */
export function searchStart(collects: bool): void {
  collecting = collects;
  grown = 0;
  steps = 0;
  bestSteps = 0;
  bound = u32.MAX_VALUE;
  shortening = broken = stuck = false;
  begin();
}
function begin(): void {
  openTable(1 << FIRST_LG2);
  states = depth = 0;
  raceShrink();
  see(0);
  enter(0);
}
@inline
function stop(index: u32): Stop {
  return changetype<Stop>(stops + <usize>index * STOP_BYTES);
}
@inline
function copy(index: u32): usize {
  return copies + <usize>index * stateBytes();
}

/** The state in hand is a stop; all its steps are untried. */
function enter(length: u32): void {
  const here = stop(depth);
  here.untried = raceEnabled();
  here.length = length;
  saveState(copy(depth));
  depth++;
}

/** Goes on for at most `turns` steps. */
export function search(turns: u32): u32 {
  let current = true; // the machine is in the state of the last stop
  for (let turn: u32 = 0; turn < turns; turn++) {
    while (depth != 0 && stop(depth - 1).untried == 0) {
      if (depth == 1) return ended();
      depth--;
      current = false;
    }
    const here = stop(depth - 1);
    const id = <u32>ctz(here.untried);
    here.untried &= here.untried - 1;
    const length = here.length + (isNamed(id) ? 1 : 0);
    if (length > bound) continue;
    if (!current) restoreState(copy(depth - 1));
    current = false;
    here.taken = id;
    const before = sum();
    if (collecting) copyCounters();
    steps += raceStep(id);
    raceShrink();
    if (sum() != before) {
      if (!collecting) {
        keep(length);
        continue;
      }
      noteGrown();
    }
    const news = see(length);
    if (news == FULL || depth > most) return SEARCH_BOUNDED;
    if (news == OLD) continue;
    enter(length);
    current = true;
    if (stop(depth - 1).untried == 0 && !raceOver() && !stuck && !shortening) {
      stuck = true;
      write(depth - 1);
    }
  }
  // The caller's next call begins with the last stop.
  if (depth != 0) restoreState(copy(depth - 1));
  return SEARCH_GOES_ON;
}

function ended(): u32 {
  restoreState(copy(0));
  return broken ? SEARCH_BROKEN : stuck ? SEARCH_STUCK : SEARCH_HOLDS;
}

/** What the watched counters have counted. */
function sum(): u64 {
  let total: u64 = 0;
  for (let i: u32 = 0; i < MAX_WATCHED; i++) {
    const counter = load<u32>(watched + (<usize>i << 2));
    if (counter == 0) break;
    total += load<u64>(countersAt() + (<usize>(counter - 1) << 3));
  }
  return total;
}

@inline
function counterOf(index: u32): u64 {
  const counter = load<u32>(watched + (<usize>index << 2));
  return counter == 0 ? 0 : load<u64>(countersAt() + (<usize>(counter - 1) << 3));
}
function copyCounters(): void {
  for (let i: u32 = 0; i < MAX_WATCHED; i++) store<u64>(counts + (<usize>i << 3), counterOf(i));
}
function noteGrown(): void {
  for (let i: u32 = 0; i < MAX_WATCHED; i++) if (counterOf(i) != load<u64>(counts + (<usize>i << 3))) grown |= 1 << i;
}
/** Of a search that collects: watched counters that have grown, a bit each. */
export function countersGrown(): u32 {
  return grown;
}

/** Remembers the steps up to here. */
function write(count: u32): void {
  for (let i: u32 = 0; i < count; i++) store<u32>(best + (<usize>i << 2), stop(i).taken);
  bestSteps = count;
}

/** The schedule in hand breaks a property: from now on only shorter ones are of interest. */
function keep(length: u32): void {
  write(depth);
  broken = true;
  bound = length - 1;
  if (shortening) return;
  // Up to here no state was gone through twice; shorter ways to those seen may have been left out.
  shortening = true;
  restoreState(copy(0));
  begin();
}

// What a state is.
const OLD: u32 = 0;
const NEW: u32 = 1;
const FULL: u32 = 2;

/** An empty table of `count` slots is in use. Tables lie behind smaller ones, which are half as large all together. */
function openTable(count: u32): void {
  slots = count;
  seen = tables + (<usize>(count - (1 << FIRST_LG2)) << SLOT_LG2);
  const bytes = <usize>count << SLOT_LG2;
  reach(seen + bytes);
  memory.fill(seen, 0, bytes);
}
/** The slot of a hash, or the empty one where it belongs. */
@inline
function slotOf(hash: u64): usize {
  let slot = <u32>hash & (slots - 1);
  while (true) {
    const at = seen + (<usize>slot << SLOT_LG2);
    const found = load<u64>(at);
    if (found == hash || found == 0) return at;
    slot = (slot + 1) & (slots - 1);
  }
}
/** What the table in use holds goes to one of twice as many slots. */
function grow(): void {
  const end = seen + (<usize>slots << SLOT_LG2);
  let from = seen;
  openTable(slots << 1);
  for (; from < end; from += 1 << SLOT_LG2) {
    if (load<u64>(from) != 0) memory.copy(slotOf(load<u64>(from)), from, 1 << SLOT_LG2);
  }
}

function see(length: u32): u32 {
  const hash = hashState();
  let at = slotOf(hash);
  if (load<u64>(at) != 0) {
    if (!shortening || length >= load<u32>(at, 8)) return OLD;
    store<u32>(at, length, 8);
    return NEW;
  }
  if (states >= slots - (slots >> 2)) {
    if (slots == mostSlots) return FULL;
    grow();
    at = slotOf(hash);
  }
  store<u64>(at, hash);
  store<u32>(at, length, 8);
  states++;
  return NEW;
}

// Every schedule of a race, depth first. A state that has been seen is not gone through again, which leaves out no state
// that can be reached: what happens from a state on depends on nothing but the state. Where a property breaks, the search
// goes on for a shorter schedule, and comes back to a state that it reaches with fewer steps than before.
import { region } from './layout';
import { isNamed, raceEnabled, raceOver, raceStep } from './race';
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
let seen: usize = 0; //    u64[slots]: hash of a state; 0 = empty
let lengths: usize = 0; // u16[slots]: fewest steps it was reached with
let watched: usize = 0; // u32[MAX_WATCHED], written by the host: counter + 1; 0 = none
let best: usize = 0; //    u32[most]: agents of the schedule found
let slots: u32 = 0;
let most: u32 = 0; //      stops of the longest schedule
let depth: u32 = 0; //     stops in hand
let states: u32 = 0;
let bestSteps: u32 = 0;
let bound: u32 = 0; //     longest schedule still wanted
let shortening: bool = false;
let broken: bool = false;
let stuck: bool = false;
let steps: f64 = 0;

/** Room for a search: 2^slotsLg2 states, schedules of `longest` steps. */
export function searchInit(slotsLg2: u32, longest: u32): void {
  slots = 1 << slotsLg2;
  most = longest;
  stops = region(<usize>(most + 1) * STOP_BYTES);
  copies = region(<usize>(most + 1) * stateBytes());
  seen = region(<usize>slots << 3);
  lengths = region(<usize>slots << 1);
  watched = region(<usize>MAX_WATCHED << 2);
  best = region(<usize>most << 2);
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

/** Begins at the state that the machine is in. */
export function searchStart(): void {
  steps = 0;
  bestSteps = 0;
  bound = u32.MAX_VALUE;
  shortening = broken = stuck = false;
  begin();
}
function begin(): void {
  memory.fill(seen, 0, <usize>slots << 3);
  states = depth = 0;
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
    raceStep(id);
    steps++;
    if (sum() != before) {
      keep(length);
      continue;
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

function see(length: u32): u32 {
  const hash = hashState();
  let slot = <u32>hash & (slots - 1);
  while (true) {
    const at = seen + (<usize>slot << 3);
    const found = load<u64>(at);
    if (found == hash) {
      const fewest = lengths + (<usize>slot << 1);
      if (!shortening || length >= load<u16>(fewest)) return OLD;
      store<u16>(fewest, <u16>length);
      return NEW;
    }
    if (found == 0) break;
    slot = (slot + 1) & (slots - 1);
  }
  if (states >= slots - (slots >> 2)) return FULL;
  store<u64>(seen + (<usize>slot << 3), hash);
  store<u16>(lengths + (<usize>slot << 1), <u16>length);
  states++;
  return NEW;
}

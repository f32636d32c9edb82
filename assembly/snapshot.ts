// The state of a machine as one block of the arena: copied, put back, hashed. What is in it depends on nothing that is
// over: sets stand in order of use, lists that have ended are cleared, and where no cost is paid all clocks stand at 0.
import { arenaTop, closePacked, openPacked } from './layout';

let first: usize = 0;
let end: usize = 0;

/** Room for what is laid out among the state and is none: names, geometry, leaf tables of eight pages that lie apart. */
const FIXED_BYTES: usize = 1 << 16;

/** What is laid out from here on is state, until `endState`, unless it is fixed. */
export function beginState(): void {
  openPacked(FIXED_BYTES);
  first = arenaTop();
}
export function endState(): void {
  closePacked();
  end = arenaTop();
}
/** Address of the state. */
export function stateAt(): usize {
  return first;
}
/** Bytes of the state: a multiple of 64. */
@inline
export function stateBytes(): usize {
  return end - first;
}
export function saveState(to: usize): void {
  memory.copy(to, first, stateBytes());
}
export function restoreState(from: usize): void {
  memory.copy(first, from, stateBytes());
}

const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/** 64 bits of the state, never 0; four words at a time, each in a lane of its own. */
export function hashState(): u64 {
  let a: u64 = 1;
  let b: u64 = 2;
  let c: u64 = 3;
  let d: u64 = 4;
  for (let at = first; at < end; at += 32) {
    a = rotl((a ^ load<u64>(at)) * MIX, 29);
    b = rotl((b ^ load<u64>(at, 8)) * MIX, 31);
    c = rotl((c ^ load<u64>(at, 16)) * MIX, 33);
    d = rotl((d ^ load<u64>(at, 24)) * MIX, 37);
  }
  let hash = a ^ rotl(b * MIX, 17) ^ rotl(c * MIX, 34) ^ rotl(d * MIX, 51);
  hash = (hash ^ (hash >> 32)) * MIX;
  hash ^= hash >> 29;
  return hash == 0 ? 1 : hash;
}

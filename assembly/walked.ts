// Of split walks: what a CPU's walk has read, and is in no TLB yet. A flush of the CPU drops it, since the access begins anew
// behind the interrupt, and INVLPGB waits for it (Intel SDM vol. 3A, 4.10.4; AMD APM vol. 2, 5.5.3).
import { region, setting } from './layout';
import { SET_SPLIT_WALKS } from './ops';

let all: usize = 0; // per CPU u32 low word of the entry, 0 = nothing; u32 frame. 0: walks are not split
let cpus: u32 = 0;

export function initWalked(cpuCount: u32): void {
  cpus = cpuCount;
  all = setting(SET_SPLIT_WALKS) != 0 ? region(<usize>cpuCount << 3) : 0;
}

@inline
function at(cpu: u32): usize {
  return all + (<usize>cpu << 3);
}
/** A CPU's walk is over; nobody has its result yet. */
export function keepWalked(cpu: u32, low: u32, frame: u32): void {
  store<u32>(at(cpu), low);
  store<u32>(at(cpu), frame, 4);
}
/** Low word of the entry that a CPU's walk has made, or 0. */
export function walkedLow(cpu: u32): u32 {
  return load<u32>(at(cpu));
}
export function walkedFrame(cpu: u32): u32 {
  return load<u32>(at(cpu), 4);
}
/** It is in a TLB now, or must not get into one any more. */
export function dropWalked(cpu: u32): void {
  if (all != 0) store<u64>(at(cpu), 0);
}
/** The frame is free: what a walk has read of it gets `mark`. */
export function markWalked(frame: u32, mark: u32): void {
  if (all == 0) return;
  for (let cpu: u32 = 0; cpu < cpus; cpu++) {
    if (walkedLow(cpu) != 0 && walkedFrame(cpu) == frame) store<u32>(at(cpu), frame | mark, 4);
  }
}

// Which entries that lead from a device to its tables an IOMMU holds: VT-d's context cache (root and context entry) and PASID
// cache (directory and PASID entry; VT-d 6.2), AMD's caches of DTEs and of entries of GCR3 tables (48882, 2.2). Of runs, where
// an entry says what it always says, so that it matters only whether it is read once more. Each has room for all devices
// (assumed). Races know of none: reading one is no step; who has a PASID there is `binding`'s.
import { swap } from './bank';
import { bump, N_CONTEXT_HIT, N_CONTEXT_MISS, N_PASID_HIT, N_PASID_MISS } from './counters';
import { region, setting } from './layout';
import { SET_CONTEXT_READS, SET_PASID_READS } from './ops';
import { deviceCount } from './space';

const CONTEXT: u8 = 1;
const PASID: u8 = 2;

let held: usize = 0; // u8[deviceCount]: CONTEXT, PASID; 0: entries are not read here

export function initStructures(): void {
  held = setting(SET_CONTEXT_READS) + setting(SET_PASID_READS) == 0 ? 0 : region(deviceCount);
}
export function swapStructures(): void {
  held = swap(held);
}

/** Looks a device's entries up for a walk, and holds them from here on. Returns what has been read for that. */
export function readStructures(device: u32): u32 {
  if (held == 0) return 0;
  const at = held + device;
  const had = load<u8>(at);
  store<u8>(at, CONTEXT | PASID);
  const ofPasid = setting(SET_PASID_READS);
  bump((had & CONTEXT) != 0 ? N_CONTEXT_HIT : N_CONTEXT_MISS);
  if (ofPasid != 0) bump((had & PASID) != 0 ? N_PASID_HIT : N_PASID_MISS);
  return ((had & CONTEXT) != 0 ? 0 : setting(SET_CONTEXT_READS)) + ((had & PASID) != 0 ? 0 : ofPasid);
}

/** Entries of PASIDs are dropped, of all devices, since all work on the space. */
export function dropPasids(): void {
  if (held == 0) return;
  for (let at = held; at < held + deviceCount; at++) store<u8>(at, load<u8>(at) & CONTEXT);
}

// An IOMMU as an emulator builds it: one cache of translations by device and page, emptied when full, and a queue whose
// commands take effect as they are written. What a command drops is read from its words alone.
import { AMD_PAGES, amdDomain, amdFirstPage, amdOpcode, amdOrder, encodeAmdWait } from './amdvi';
import { COMMAND_BYTES, ORDER_ALL, word0, word1 } from './command';
import { region } from './layout';
import {
  row, ROW_DESCRIPTOR, ROW_FILL, ROW_FULL_RESET, ROW_HIT, ROW_WAIT, setCause, setValue, WHY_NONE,
} from './prediction';
import {
  encodeWait, QI_DONE, VTD_GLOBAL, VTD_IOTLB, VTD_PAGE, vtdAddressMask, vtdDomain, vtdGranularity, vtdPage, vtdType,
} from './vtd';

export const DROPS_BLOCK: u32 = 0;
export const DROPS_LOW_BYTE: u32 = 1;
export const DROPS_DOMAIN: u32 = 2;

/** A cached translation. */
@unmanaged
class Entry {
  page: u64;
  frame: u64;
  agent: u32;
  did: u32;
  prot: u32;
  pad: u32;
}

/** Where the next command is written. */
export let command: usize = 0;
let entries: usize = 0; // Entry[capacity]
let count: u32 = 0;
let capacity: u32 = 0;
let amd: bool = false;
let drops: u32 = 0;
let slots: u32 = 0;
let slot: u32 = 0; //    next slot of the queue
let status: u64 = 0; //  address that waits count from
let cause: u32 = WHY_NONE;

@inline
function entry(index: u32): Entry {
  return changetype<Entry>(entries + <usize>index * offsetof<Entry>());
}

export function initEmulated(isAmd: bool, size: u32, dropped: u32, ringSlots: u32): void {
  command = region(COMMAND_BYTES);
  entries = region(<usize>size * offsetof<Entry>());
  count = 0;
  capacity = size;
  amd = isAmd;
  drops = dropped;
  slots = ringSlots;
  slot = 0;
  status = 0;
}

/** Address of the status word of slot 0 (VT-d), or of the one that all waits store to (AMD). */
export function setStatus(address: u64): void {
  status = address;
}

/** Why the commands that follow are submitted. */
export function setWhy(why: u32): void {
  cause = why;
}

/** The command in hand and the wait behind it, which writes to the status word of its slot (dmar.c qi_submit_sync). */
export function submit(): void {
  emit(5);
  encodeWait(command, status + (<u64>((slot + 1) % slots) << 2), QI_DONE);
  emit(5);
  row(ROW_WAIT, 0, 0, 0);
  slot = (slot + 2) % slots;
}

/** The command in hand, without a wait. */
export function submitAmd(): void {
  emit(5);
}

/** The data that an AMD wait stores counts up; it is not predicted. */
export function waitAmd(): void {
  encodeAmdWait(command, status, 0);
  emit(3);
}

/** Writes the command as a row of type and words, as many as `values`, and applies it to the cache. */
function emit(values: u32): void {
  const low = word0(command);
  const high = word1(command);
  const type = amd ? amdOpcode(command) : vtdType(command);
  const at = row(ROW_DESCRIPTOR, values, <f64>type, <f64><u32>low);
  setCause(at, cause);
  setValue(at, 2, <f64>(low >> 32));
  setValue(at, 3, <f64><u32>high);
  setValue(at, 4, <f64>(high >> 32));
  if (amd) {
    if (type == AMD_PAGES) drop(amdDomain(command), amdFirstPage(command), amdOrder(command), false);
  } else if (type == VTD_IOTLB) {
    const granularity = vtdGranularity(command);
    const order = granularity == VTD_PAGE ? vtdAddressMask(command) : ORDER_ALL;
    drop(vtdDomain(command), vtdPage(command), order, granularity == VTD_GLOBAL);
  }
}

/** Drops entries of a domain: those of a block, as this machine compares them; or everything. */
function drop(did: u32, page: u64, order: u32, all: bool): void {
  const whole = order >= ORDER_ALL || drops == DROPS_DOMAIN;
  const mask: u64 = drops == DROPS_LOW_BYTE ? 0xff : ~(<u64>0);
  let kept: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const at = entry(i);
    const agrees = whole || ((at.page ^ page) & mask) >> order == 0;
    if (all || (at.did == did && agrees)) continue;
    if (kept != i) memory.copy(changetype<usize>(entry(kept)), changetype<usize>(at), offsetof<Entry>());
    kept++;
  }
  count = kept;
}

/** Whether `agent`'s translation of `page` is cached; if so, its row is written. */
export function hits(agent: u32, page: u64): bool {
  for (let i: u32 = 0; i < count; i++) {
    const found = entry(i);
    if (found.page != page || found.agent != agent) continue;
    translated(ROW_HIT, found);
    return true;
  }
  return false;
}

/** Caches a translation; a full cache is emptied first. */
export function cacheTranslation(agent: u32, page: u64, frame: u64, did: u32, prot: u32): void {
  const full = count == capacity;
  if (full) count = 0;
  const filled = entry(count);
  count++;
  filled.page = page;
  filled.frame = frame;
  filled.agent = agent;
  filled.did = did;
  filled.prot = prot;
  translated(ROW_FILL, filled);
  if (full) row(ROW_FULL_RESET, 0, 0, 0);
}

function translated(kind: u32, found: Entry): void {
  const at = row(kind, 3, <f64>found.frame, <f64>found.did);
  setValue(at, 2, <f64>found.prot);
}

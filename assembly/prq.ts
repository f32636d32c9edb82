// The page request queue in memory: slots that the IOMMU writes and a handler reads (VT-d PRQ, AMD PPR log). Full, it takes
// nothing more until software has seen to it: VT-d PRS.PRO, AMD PPROvf.
//
//   VT-d, 32 bytes  63──54  PRIV53 EXE52  51──── PASID ────32  31──── RID ────16  15──9  PP8  7── 1 ──0
//     second word   63──────────────── address ────────────────12  11── PRGI ──3  LPIG2  W1  R0
//   AMD, 16 bytes   63─ 1 ─60  59── FLAGS ──48  47─46  45─ PASID 19:16 ─42  41── TAG ──32  31── PASID ──16  15── DevID ──0
//     second word   63──────────────── address ────────────────12  11────────────────────────────────────0
//
// AMD's TAG is the group, and above its 9 bits whether the request is the last one (Linux 4.12 drivers/iommu/amd_iommu_v2.c
// ppr_notifier).
import { swap } from './bank';
import { Agent, agent, block, BLOCKED, spend, wake } from './clock';
import { addressOf, setWords, SOURCE, word0, word1 } from './command';
import { bump, N_PRQ_OVERFLOWS } from './counters';
import { clear, cost, region, setting } from './layout';
import {
  CAUSE_PAGE_REQUEST, CAUSE_WAIT, COST_PRQ_INTERRUPT, PRQ_TAKEN, SET_COMMANDS, SET_PRQ, SET_PRQ_DRAIN, SET_PRQ_RESTARTS,
} from './ops';
import { clearFull, isFull, raiseFull } from './registers';

// What becomes of a request.
export const TAKEN: u32 = 0;
export const IS_FULL: u32 = 1;
export const IS_OFF: u32 = 2;

const SLOT_BYTES: usize = 32;
const TYPE: u64 = 1;
/** What is asked for. */
export const ASKS_TO_READ: u32 = 1;
export const ASKS_TO_WRITE: u32 = 2;
const LAST: u64 = 1 << 2;
const GROUP_SHIFT: u64 = 3;
const GROUP_MASK: u64 = 0x1ff;
const PASID_PRESENT: u64 = 1 << 8;
const RID_SHIFT: u64 = 16;
const PASID_SHIFT: u64 = 32;
const AMD_TYPE: u64 = 1 << 60;
const AMD_READ_SHIFT: u64 = 50;
const AMD_WRITE_SHIFT: u64 = 53;
const AMD_GUEST: u64 = 1 << 56;
const AMD_TAG_SHIFT: u64 = 32;
const AMD_LAST: u64 = 1 << 41;
const AMD_PASID_SHIFT: u64 = 16;
const AMD_HIGH_PASID_SHIFT: u64 = 42;

@unmanaged
class State {
  head: u32;
  tail: u32;
  taken: u32; //  1: the handler has a batch in hand
  waiter: u32; // agent + 1 that drains
}

let slots: usize = 0;
let state: State = changetype<State>(0);
let handler: u32 = 0; // agent
let size: u32 = 0;

export function initPrq(handlerAgent: u32): void {
  handler = handlerAgent;
  size = setting(SET_PRQ);
  slots = region(<usize>size * SLOT_BYTES);
  state = changetype<State>(region(offsetof<State>()));
}
export function swapPrq(): void {
  slots = swap(slots);
  state = swap(state);
  handler = swap(handler);
  size = swap(size);
}
@inline
function isAmd(): bool {
  return setting(SET_COMMANDS) != 0;
}
@inline
export function after(slot: u32): u32 {
  return slot + 1 == size ? 0 : slot + 1;
}

/** A request of VT-d. `asks`: ASKS_TO_*. */
export function encodeVtdRequest(at: usize, source: u32, pasid: u32, vpn: u64, asks: u32, group: u32, last: u32): void {
  const names = (<u64>pasid << PASID_SHIFT) | (<u64>source << RID_SHIFT) | PASID_PRESENT | TYPE;
  setWords(at, names, addressOf(vpn) | (<u64>group << GROUP_SHIFT) | (last != 0 ? LAST : 0) | asks);
}
/** The same of AMD, of a guest's page tables (GN). */
export function encodeAmdRequest(at: usize, source: u32, pasid: u32, vpn: u64, asks: u32, group: u32, last: u32): void {
  const flags = (<u64>(asks & 1) << AMD_READ_SHIFT) | (<u64>(asks >> 1) << AMD_WRITE_SHIFT) | AMD_GUEST | AMD_TYPE;
  const name = (<u64>(pasid & 0xffff) << AMD_PASID_SHIFT) | (<u64>(pasid >> 16) << AMD_HIGH_PASID_SHIFT) | source;
  setWords(at, flags | name | (<u64>group << AMD_TAG_SHIFT) | (last != 0 ? AMD_LAST : 0), addressOf(vpn));
}

// ---- hardware ----

/** A device asks for a page of a PASID: TAKEN, IS_FULL or IS_OFF. One slot stays empty. */
export function putRequest(pasid: u32, vpn: u64, asks: u32, group: u32, last: bool, now: u64): u32 {
  if (size == 0) return IS_OFF;
  if (isFull(isAmd())) return IS_FULL;
  if (after(state.tail) == state.head) {
    raiseFull(isAmd());
    bump(N_PRQ_OVERFLOWS);
    return IS_FULL;
  }
  const at = slots + <usize>state.tail * SLOT_BYTES;
  if (isAmd()) encodeAmdRequest(at, SOURCE, pasid, vpn, asks, group, last ? 1 : 0);
  else encodeVtdRequest(at, SOURCE, pasid, vpn, asks, group, last ? 1 : 0);
  state.tail = after(state.tail);
  interrupt(agent(handler), now);
  return TAKEN;
}
/** The handler's thread wakes, if it does not run already: PRS.PPR, AMD PPRInt. */
function interrupt(who: Agent, now: u64): void {
  if (who.state != BLOCKED || who.phase != 0) return;
  wake(who, now);
  spend(who, CAUSE_PAGE_REQUEST, cost(COST_PRQ_INTERRUPT));
}

// ---- software ----

@inline
export function prqHead(): u32 {
  return state.head;
}
@inline
export function prqTail(): u32 {
  return state.tail;
}
/** The handler takes all that there is as a batch; returns the slot behind it. */
export function takeRequests(): u32 {
  state.taken = 1;
  return state.tail;
}
/**
 * The batch is handled, slots up to here are free. An overflow is over where nothing is left, if the driver looks at it (Linux
 * 6.14 drivers/iommu/intel/prq.c prq_event_thread). Returns whether one is.
 */
export function setPrqHead(slot: u32, now: u64): bool {
  for (let i = state.head; i != slot; i = after(i)) clear(requestAt(i), SLOT_BYTES);
  state.head = slot;
  state.taken = 0;
  const empty = slot == state.tail;
  const over = empty && setting(SET_PRQ_RESTARTS) != 0 && isFull(isAmd());
  if (over) clearFull(isAmd());
  if (state.waiter == 0 || !(empty || setting(SET_PRQ_DRAIN) == PRQ_TAKEN)) return over;
  wake(agent(state.waiter - 1), now);
  state.waiter = 0;
  return over;
}
/**
 * Whether there is nothing to wait for; if there is, the agent blocks until what the handler has taken is handled (Linux 4.12
 * amd_iommu_v2.c unbind_pasid: flush_workqueue), or the queue is empty (6.14 intel_iommu_drain_pasid_prq).
 */
export function awaitHandled(who: Agent): bool {
  if (setting(SET_PRQ_DRAIN) == PRQ_TAKEN ? state.taken == 0 : state.head == state.tail) return true;
  assert(state.waiter == 0);
  state.waiter = who.id + 1;
  block(who, CAUSE_WAIT);
  return false;
}
/** Address of a slot. */
@inline
export function requestAt(slot: u32): usize {
  return slots + <usize>slot * SLOT_BYTES;
}
@inline
export function requestedPage(at: usize): u64 {
  return word1(at) >> 12;
}
@inline
export function requestsWrite(at: usize): bool {
  return ((isAmd() ? word0(at) >> AMD_WRITE_SHIFT : word1(at) >> 1) & 1) != 0;
}
@inline
export function isLastOfGroup(at: usize): bool {
  return isAmd() ? (word0(at) & AMD_LAST) != 0 : (word1(at) & LAST) != 0;
}
/** Whether it says that the device has stopped: it is taken, and not answered. */
@inline
export function isStopMarker(at: usize): bool {
  const asks = isAmd() ? (word0(at) >> AMD_READ_SHIFT) & 9 : word1(at) & 3;
  return asks == 0;
}
@inline
export function requestGroup(at: usize): u32 {
  return <u32>((isAmd() ? word0(at) >> AMD_TAG_SHIFT : word1(at) >> GROUP_SHIFT) & GROUP_MASK);
}

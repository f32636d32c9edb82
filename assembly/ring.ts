// The invalidation queue in memory: slots, the head that hardware moves when it fetches, the tail that software writes,
// the words that waits write when they complete; and what software knows of free slots (Linux drivers/iommu/dmar.c
// qi_submit_sync, amd/iommu.c iommu_queue_command).
import { swap } from './bank';
import { agent, Agent, block, BLOCKED, MAX_AGENTS, wake } from './clock';
import { COMMAND_BYTES } from './command';
import { region, setting } from './layout';
import { CAUSE_IDLE, CAUSE_WAIT, SET_COMMANDS, SET_RING } from './ops';

/** Where the status words lie in memory, one of 8 bytes per slot. Any place does. */
export const STATUS_BASE: u64 = 0x1000_0000;

// What software knows of a slot.
const FREE: u32 = 0;
const IN_USE: u32 = 1;
const DONE: u32 = 2; // free as soon as all older ones are
// Of a wait whose submission the driver has given up: the copy of it, or it alone, is not over.
const LEFT_TWICE: u32 = 3;
const LEFT: u32 = 4;
const LEFT_BEFORE: u32 = 5; // belongs to the wait behind it, which is left

@unmanaged
class State {
  head: u32; //    slot that is fetched next
  tail: u32; //    the register: slot behind the last one submitted
  next: u32; //    slot that software writes next
  used: u32; //    slots that software has not got back
  oldest: u32; //  the first of them
  waiting: u32; // agents that wait for room
  bytes: u32; //   of a slot
  written: u32; // submissions, modulo what is asked of them
}

let slots: usize = 0; //  size slots of 16 or 32 bytes
let status: usize = 0; // u64[size]: what waits have written
let owners: usize = 0; // u8[size]: agent + 1 that a wait of the slot wakes
let marks: usize = 0; //  u8[size]: FREE, IN_USE, DONE
let queue: usize = 0; //  u8[MAX_AGENTS]: who waits for room, first come first
let size: u32 = 0;
let ring: State = changetype<State>(0);

export function initRing(): void {
  size = setting(SET_RING);
  slots = region(<usize>size * COMMAND_BYTES * 2);
  status = region(<usize>size << 3);
  owners = region(size);
  marks = region(size);
  queue = region(MAX_AGENTS);
  ring = changetype<State>(region(offsetof<State>()));
  ring.bytes = <u32>COMMAND_BYTES;
}
export function swapRing(): void {
  slots = swap(slots);
  status = swap(status);
  owners = swap(owners);
  marks = swap(marks);
  queue = swap(queue);
  size = swap(size);
  ring = swap(ring);
}
/** Bytes of a slot: 16, or 32 as VT-d's scalable mode has them. Before the first command. */
export function setSlotBytes(bytes: u32): void {
  ring.bytes = bytes;
}
@inline
export function slotBytes(): u32 {
  return ring.bytes;
}
@inline
export function slotCount(): u32 {
  return size;
}
@inline
export function slotAt(slot: u32): usize {
  return slots + <usize>slot * ring.bytes;
}
export function statusAt(): usize {
  return status;
}
@inline
function after(slot: u32): u32 {
  return slot + 1 == size ? 0 : slot + 1;
}
@inline
function before(slot: u32): u32 {
  return (slot == 0 ? size : slot) - 1;
}

// ---- software ----

/** Whether `count` commands fit; one slot stays empty. If not, the agent blocks until slots have come back. */
export function room(count: u32, who: Agent): bool {
  if (ring.used + count < size) return true;
  store<u8>(queue + ring.waiting, <u8>who.id);
  ring.waiting++;
  block(who, CAUSE_WAIT);
  return false;
}
/** The slot that the next command goes to. */
@inline
export function nextSlot(): u32 {
  return ring.next;
}
/** Address that a wait in the slot writes to. */
@inline
export function statusAddress(slot: u32): u64 {
  return STATUS_BASE + (<u64>slot << 3);
}
@inline
export function statusOf(slot: u32): u32 {
  return load<u32>(status + (<usize>slot << 3));
}
/** Address of the next slot, which the caller fills; `caller` is agent + 1 for a wait, else 0. */
export function push(caller: u32): usize {
  assert(ring.used + 1 < size);
  const slot = ring.next;
  store<u8>(owners + slot, <u8>caller);
  store<u8>(marks + slot, <u8>IN_USE);
  store<u64>(status + (<usize>slot << 3), 0);
  ring.next = after(slot);
  ring.used++;
  return slotAt(slot);
}
/** One more submission; whether it is the so-manieth. */
export function countSubmission(every: u32): bool {
  ring.written = (ring.written + 1) % every;
  return ring.written == 0;
}
/** The tail register is written: the hardware fetches. */
export function doorbell(hardware: Agent, now: u64): void {
  ring.tail = ring.next;
  rouse(hardware, now);
}
/** Something that the hardware may have waited for has come. */
export function rouse(hardware: Agent, now: u64): void {
  if (hardware.state == BLOCKED) wake(hardware, now);
}
/** A submission of VT-d is over: its slots come back behind all older ones (reclaim_free_desc). */
export function giveBack(first: u32, count: u32, now: u64): void {
  if (setting(SET_COMMANDS) != 0) return;
  for (let slot = first; count != 0; slot = after(slot)) {
    store<u8>(marks + slot, <u8>DONE);
    count--;
  }
  reclaim(now);
}
function reclaim(now: u64): void {
  const before = ring.used;
  while (load<u8>(marks + ring.oldest) == DONE) takeBack();
  if (ring.used != before) wakeWaiting(now);
}
/** The driver gives a submission up that ends in a wait, and has put a copy of the wait into it: nobody polls for either. */
export function leave(first: u32, count: u32): void {
  let slot = first;
  for (; count != 1; slot = after(slot)) {
    store<u8>(marks + slot, <u8>LEFT_BEFORE);
    count--;
  }
  store<u8>(marks + slot, <u8>LEFT_TWICE);
  store<u8>(owners + slot, 0);
}
function takeBack(): void {
  store<u8>(marks + ring.oldest, <u8>FREE);
  ring.oldest = after(ring.oldest);
  ring.used--;
}
function wakeWaiting(now: u64): void {
  const waiting = ring.waiting;
  ring.waiting = 0;
  for (let i: u32 = 0; i < waiting; i++) wake(agent(load<u8>(queue + i)), now);
}

// ---- hardware ----

/** Whether something is submitted that has not been fetched. */
@inline
export function submitted(): bool {
  return ring.head != ring.tail;
}
/** Who polls for the first wait behind the head sees that the queue stands still. */
export function alert(now: u64): void {
  for (let slot = ring.head; slot != ring.tail; slot = after(slot)) {
    const owner = load<u8>(owners + slot);
    if (owner == 0) continue;
    tell(agent(owner - 1), now);
    return;
  }
}
/** Whether somebody waits for a wait that has not been fetched. */
export function isPolled(): bool {
  for (let slot = ring.head; slot != ring.tail; slot = after(slot)) if (load<u8>(owners + slot) != 0) return true;
  return false;
}
@inline
export function headSlot(): u32 {
  return ring.head;
}
export function setTail(slot: u32): void {
  ring.tail = slot;
}
/** The head moves on. AMD's driver reads it to see which slots are free. */
export function advanceHead(now: u64): void {
  ring.head = after(ring.head);
  if (setting(SET_COMMANDS) == 0 || ring.used == 0) return;
  takeBack();
  wakeWaiting(now);
}
/** A wait writes to memory; whoever looks at that word goes on. Only status words are memory here. */
export function writeStatus(address: u64, data: u64, bytes: u64, now: u64): void {
  const offset = address - STATUS_BASE;
  if (offset > (<u64>size << 3) - bytes) return;
  if (bytes == 8) store<u64>(status + <usize>offset, data);
  else store<u32>(status + <usize>offset, <u32>data);
  wakeOwner(<u32>(offset >> 3), now);
}
/** A wait will not be completed: who looks at its word finds an error in the fault status. */
export function abortStatus(address: u64, now: u64): void {
  const offset = address - STATUS_BASE;
  if (offset < <u64>size << 3) wakeOwner(<u32>(offset >> 3), now);
}
function wakeOwner(slot: u32, now: u64): void {
  const owner = load<u8>(owners + slot);
  store<u8>(owners + slot, 0);
  if (owner != 0) tell(agent(owner - 1), now);
  const mark = load<u8>(marks + slot);
  if (mark < LEFT_TWICE) return;
  store<u8>(marks + slot, <u8>(mark == LEFT_TWICE ? LEFT : DONE));
  if (mark != LEFT) return;
  for (let i = before(slot); load<u8>(marks + i) == LEFT_BEFORE; i = before(i)) store<u8>(marks + i, <u8>DONE);
  reclaim(now);
}
/** Who polls is told to look; one who waits for the lock to look will see it, too. */
function tell(who: Agent, now: u64): void {
  if (who.state == BLOCKED && who.waitsFor == CAUSE_WAIT) wake(who, now);
}
/** Nothing to do: until the doorbell. */
@inline
export function rest(hardware: Agent): void {
  block(hardware, CAUSE_IDLE);
}

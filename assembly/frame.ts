// Frames: a reference ledger and a stack of free ones. Frame 0 is the shared zero page: always there, never counted.
import { acquire, Agent, agent, agentCount, block, release, wake } from './clock';
import { hazard, HAZARD_NO_CALLER_REF } from './hazard';
import { fixed, region, setting } from './layout';
import { CAUSE_FRAME_WAIT, SET_SPACES } from './ops';

/** References of a free frame: nobody can take or put one. */
const FREE: u32 = u32.MAX_VALUE;

let refs: usize = 0; //  u32[frames + 1]: references of mappings, of isolation, of a fault, of a gather
let pages: usize = 0; // u32[frames + 1]: page id + 1 that the frame is mapped at, 0 = none
let shares: usize = 0; // u32[frames + 1]: references of a child among them, and
let shared: usize = 0; // u32[frames + 1]: the page id through which it got them
let stack: usize = 0; // u32[frames]: free frames; the last one freed is the next one used (per-CPU lists, worst case)
let waiting: usize = 0; // u8[agentCount]: agents that wait for a frame, or for reclaim to be done with a page
let heard: usize = 0; // u32[agentCount]: what the agent that woke them knew
let free: usize = 0; //   u32: frames on the stack
export let frameCount: u32 = 0;

export function initFrames(count: u32): void {
  frameCount = count;
  refs = region(<usize>(count + 1) << 2);
  // In a race who else maps a frame makes a difference where there is a second process. Its child is that one.
  pages = setting(SET_SPACES) > 1 ? region(<usize>(count + 1) << 2) : fixed(<usize>(count + 1) << 2);
  shares = fixed(<usize>(count + 1) << 2);
  shared = fixed(<usize>(count + 1) << 2);
  stack = region(<usize>count << 2);
  for (let i: u32 = 0; i < count; i++) {
    store<u32>(stack + (<usize>i << 2), count - i);
    store<u32>(refs + (<usize>(i + 1) << 2), FREE);
  }
  free = region(4);
  store<u32>(free, count);
  waiting = region(agentCount);
  heard = fixed(<usize>agentCount << 2);
}
/** Frames that nobody has. */
@inline
export function freeFrames(): u32 {
  return load<u32>(free);
}
/** Free frames, for the host. */
export function freeFrameCount(): u32 {
  return freeFrames();
}

/** A frame for `page` with one reference, the mapping's. There must be one. */
export function allocFrame(page: u32): u32 {
  assert(freeFrames() > 0);
  store<u32>(free, freeFrames() - 1);
  const frame = load<u32>(stack + (<usize>freeFrames() << 2));
  store<u32>(stack + (<usize>freeFrames() << 2), 0);
  assert(refsOf(frame) == FREE);
  store<u32>(refs + (<usize>frame << 2), 1);
  store<u32>(pages + (<usize>frame << 2), page + 1);
  return frame;
}
@inline
export function refsOf(frame: u32): u32 {
  return load<u32>(refs + (<usize>frame << 2));
}
/** Page id + 1 that maps the frame, or 0. */
@inline
export function pageOf(frame: u32): u32 {
  return load<u32>(pages + (<usize>frame << 2));
}
@inline
export function setPageOf(frame: u32, pagePlusOne: u32): void {
  store<u32>(pages + (<usize>frame << 2), pagePlusOne);
}
export function getFrame(frame: u32): void {
  if (frame == 0) return;
  assert(refsOf(frame) != FREE);
  store<u32>(refs + (<usize>frame << 2), refsOf(frame) + 1);
}
/** Whether who works on a mapped page holds a reference of its own. */
@inline
export function callerHolds(): bool {
  return !hazard(HAZARD_NO_CALLER_REF);
}
/** Drops a reference. Never frees: FREE does. */
export function putFrame(frame: u32): void {
  if (frame == 0) return;
  assert(refsOf(frame) > 0 && refsOf(frame) != FREE);
  store<u32>(refs + (<usize>frame << 2), refsOf(frame) - 1);
}
/** Returns a frame without references to the allocator. False if somebody still holds one, or if it is free already. */
export function freeFrame(frame: u32): bool {
  if (frame == 0 || refsOf(frame) != 0) return false;
  store<u32>(refs + (<usize>frame << 2), FREE);
  store<u32>(pages + (<usize>frame << 2), 0);
  store<u32>(stack + (<usize>freeFrames() << 2), frame);
  store<u32>(free, freeFrames() + 1);
  return true;
}

/** A child maps the frame of `page` as well. */
export function shareFrame(frame: u32, page: u32): void {
  getFrame(frame);
  store<u32>(shares + (<usize>frame << 2), load<u32>(shares + (<usize>frame << 2)) + 1);
  store<u32>(shared + (<usize>frame << 2), page);
}
/** Drops the child's references to a frame. False if it had none. */
export function unshareFrame(frame: u32): bool {
  const at = shares + (<usize>frame << 2);
  if (load<u32>(at) == 0) return false;
  for (let left = load<u32>(at); left > 0; left--) putFrame(frame);
  store<u32>(at, 0);
  return true;
}
/** Page id through which a child got the frame. */
@inline
export function sharedPage(frame: u32): u32 {
  return load<u32>(shared + (<usize>frame << 2));
}

/** Blocks until frames are freed, or reclaim is done with a page; the agent then looks again. */
export function awaitFrames(who: Agent): void {
  store<u8>(waiting + who.id, 1);
  block(who, CAUSE_FRAME_WAIT);
}
/** Whether an agent waits. */
export function anyoneWaits(): bool {
  // Regions are of whole words.
  for (let id: u32 = 0; id < agentCount; id += 8) if (load<u64>(waiting + id) != 0) return true;
  return false;
}
/** Wakes all who wait for frames. */
export function framesFreed(by: Agent, now: u64): void {
  release(by.id, heard);
  for (let id: u32 = 0; id < agentCount; id++) {
    if (load<u8>(waiting + id) == 0) continue;
    store<u8>(waiting + id, 0);
    wake(agent(id), now);
    acquire(id, heard);
  }
}

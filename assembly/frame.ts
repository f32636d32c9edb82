// Frames: a reference ledger and a stack of free ones. Frame 0 is the shared zero page: always there, never counted.
import { region } from './layout';

let refs: usize = 0; //  u32[frames + 1]: references of mappings, of isolation, of a fault, of a gather
let pages: usize = 0; // u32[frames + 1]: page id + 1 that the frame is mapped at, 0 = none
let stack: usize = 0; // u32[frames]: free frames; the last one freed is the next one used (per-CPU lists, worst case)
export let freeFrames: u32 = 0;
export let frameCount: u32 = 0;

export function initFrames(count: u32): void {
  frameCount = count;
  refs = region(<usize>(count + 1) << 2);
  pages = region(<usize>(count + 1) << 2);
  stack = region(<usize>count << 2);
  for (let i: u32 = 0; i < count; i++) store<u32>(stack + (<usize>i << 2), count - i);
  freeFrames = count;
}

/** A frame for `page` with one reference, the mapping's. There must be one. */
export function allocFrame(page: u32): u32 {
  assert(freeFrames > 0);
  freeFrames--;
  const frame = load<u32>(stack + (<usize>freeFrames << 2));
  assert(refsOf(frame) == 0);
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
  if (frame != 0) store<u32>(refs + (<usize>frame << 2), refsOf(frame) + 1);
}
/** Drops a reference. Never frees: FREE does. */
export function putFrame(frame: u32): void {
  if (frame == 0) return;
  assert(refsOf(frame) > 0);
  store<u32>(refs + (<usize>frame << 2), refsOf(frame) - 1);
}
/** Returns a frame without references to the allocator. False if somebody still holds one. */
export function freeFrame(frame: u32): bool {
  if (frame == 0 || refsOf(frame) != 0) return false;
  store<u32>(pages + (<usize>frame << 2), 0);
  store<u32>(stack + (<usize>freeFrames << 2), frame);
  freeFrames++;
  return true;
}

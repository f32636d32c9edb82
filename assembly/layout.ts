// The arena: everything the engine keeps, laid out once from the geometry that the host gives. Regions follow one
// another from `__heap_base` on; zeroed memory is a valid start; nothing is allocated after `init`.

import { IS_COMMON, isLeftOut } from './common';
import { SET_DMA } from './ops';

/** Rounds up to whole 64-byte lines, so that no two regions share one. */
@inline
export function line(bytes: usize): usize {
  return (bytes + 63) & ~63;
}

/** Zeroes some words of 4 bytes: what is cleared turn by turn is so short that a call of memory.fill costs more than the stores. */
@inline
export function clear(at: usize, bytes: usize): void {
  let done: usize = 0;
  for (; done + 8 <= bytes; done += 8) store<u64>(at + done, 0);
  if (done < bytes) store<u32>(at + done, 0);
}

/** Where the next region begins. */
let top: usize = 0;
/** Where the next fixed one does, and the end of the room for those; 0: they are like others. */
let fixedTop: usize = 0;
let fixedEnd: usize = 0;
/** Up to where regions have ever reached: memory behind that is zero. */
let reached: usize = 0;
/** Bytes that a region begins at a multiple of, less 1. */
let align: usize = 63;

/** Starts a new arena: forgets all regions, and takes over what the host has written. */
export function openArena(): void {
  readConfig();
  top = line(__heap_base);
  fixedTop = fixedEnd = 0;
  align = 63;
}
/** From here on regions follow one another without gaps, and fixed ones lie apart, in `bytes` set aside for them. */
export function openPacked(bytes: usize): void {
  fixedTop = region(bytes);
  fixedEnd = fixedTop + bytes;
  align = 7;
}
/** Whether they do: the arena is that of a race. */
export function isPacked(): bool {
  return fixedEnd != 0;
}
/** Regions begin at lines again, and all are alike. */
export function closePacked(): void {
  top = line(top);
  fixedTop = fixedEnd = 0;
  align = 63;
}

/** Where the next region will begin. */
@inline
export function arenaTop(): usize {
  return top;
}

/** The next region of the arena, zeroed. Grows memory; traps when the host's limit is reached. */
export function region(bytes: usize): usize {
  const at = top;
  top = (top + bytes + align) & ~align;
  // What nobody has used is zero, and costs no real memory before it is.
  if (at < reached) memory.fill(at, 0, min(top, reached) - at);
  reach(top);
  return at;
}
/** Pages of 64 KiB that memory grows by at least: each time costs some 50 us, and an arena has a hundred regions. */
const GROWTH: i32 = 64;
/** Grows memory up to an address behind all regions, for whoever uses what is left; traps when the host's limit is reached. */
export function reach(end: usize): void {
  reached = max(reached, end);
  const have: usize = <usize>memory.size() << 16;
  if (end <= have) return;
  const pages = <i32>((end - have + 0xffff) >> 16);
  if (memory.grow(max(pages, GROWTH)) < 0 && memory.grow(pages) < 0) unreachable();
}

/**
 * A region that stays as it is once a run has begun, or that a race never reads: it is the same in all states of a race, and
 * is neither copied nor hashed with them.
 */
export function fixed(bytes: usize): usize {
  if (fixedEnd == 0) return region(bytes);
  const at = fixedTop;
  fixedTop += (bytes + 7) & ~7;
  if (fixedTop > fixedEnd) unreachable();
  return at;
}

// Head of a trace record, one u32. src/trace/format.ts draws it; the host checks both against each other at load.
//
//   31 ──────── 5   4          3 ── 0
//   page or event   straddle   op
export const HEAD_SHIFT: u32 = 5;
export const HEAD_STRADDLE: u32 = 16;
export const HEAD_OP: u32 = 15;
export const OP_FETCH: u32 = 0;
export const OP_READ: u32 = 1;
export const OP_WRITE: u32 = 2;
export const OP_EVENT: u32 = 3;

/** Records of one chunk: model/limits.ts CHUNK_RECORDS. */
export const CHUNK_RECORDS: u32 = 1 << 16;
/** The largest page number: model/limits.ts MAX_VPN. */
export const MAX_VPN: u64 = ((<u64>1) << 45) - 1;

// ---- what the host writes before `init` ----

/** f64 settings, then f64 costs in picoseconds: see ops.ts for the order of both. */
export const CONFIG_WORDS: u32 = 192;
/** Where costs begin: not before SETTINGS of ops.ts. */
export const CONFIG_COSTS: u32 = 128;
const config: usize = memory.data(<i32>CONFIG_WORDS * 8);
/** The same as u32 and as u64: they are read at every step, and a conversion costs more than all else of a read. */
const words: usize = memory.data(<i32>CONFIG_WORDS * 4);
const wideWords: usize = memory.data(<i32>CONFIG_WORDS * 8);

/** Address of the settings; costs begin at word CONFIG_COSTS. */
export function configAt(): usize {
  return config;
}
/** Takes over what the host has written. */
export function readConfig(): void {
  for (let i: usize = 0; i < CONFIG_WORDS; i++) {
    store<u32>(words + (i << 2), <u32>load<f64>(config + (i << 3)));
    store<u64>(wideWords + (i << 3), <u64>load<f64>(config + (i << 3)));
  }
}
/** Whether this build has code for all that the settings ask for that the host has written. */
export function servesSettings(): bool {
  for (let i: u32 = 0; i < CONFIG_COSTS; i++) if (isLeftOut(i) && load<f64>(config + (<usize>i << 3)) != 0) return false;
  return true;
}
/** Bytes of all settings and costs as they are read. */
export const CONFIG_BYTES: usize = CONFIG_WORDS * 12;
/** Keeps them at `at`, and takes them from there. */
export function keepConfig(at: usize): void {
  memory.copy(at, words, CONFIG_WORDS * 4);
  memory.copy(at + CONFIG_WORDS * 4, wideWords, CONFIG_WORDS * 8);
}
export function takeConfig(at: usize): void {
  memory.copy(words, at, CONFIG_WORDS * 4);
  memory.copy(wideWords, at + CONFIG_WORDS * 4, CONFIG_WORDS * 8);
}
@inline
export function setting(index: u32): u32 {
  if (isLeftOut(index)) return 0;
  if (IS_COMMON && index == SET_DMA) return 1;
  return load<u32>(words + (<usize>index << 2));
}
@inline
export function settingU64(index: u32): u64 {
  return load<u64>(wideWords + (<usize>index << 3));
}
/** A cost in picoseconds. */
@inline
export function cost(index: u32): u64 {
  return load<u64>(wideWords + (<usize>(CONFIG_COSTS + index) << 3));
}

// The ABI: exports only. i32, u32, f64 and blocks of memory; no u64 crosses.
export { CHUNK_RECORDS, HEAD_OP, HEAD_SHIFT, HEAD_STRADDLE, OP_EVENT } from './layout';
export { FIFO, LRU } from './cache';
export { L1D, L1I, L2, tlbInit, tlbInvalidate, tlbMisses, tlbPlace, tlbRun } from './tlb';
export * from './ops';
export { configAt } from './layout';
export { causesAt } from './clock';
export * from './counters';
export { eventsAt, headsAt, postsAt } from './cpu';
export { LIST_WORDS, listsAt } from './path';
export { recipesAt } from './submit';
export {
  agents, clockOf, definePage, defineTable, init, IS_OVER, IS_STUCK, quantilesAt, run, WANTS_RECORDS,
} from './engine';

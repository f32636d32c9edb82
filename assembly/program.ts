// What each CPU runs: a piece of the trace at a time, in columns that the host writes, and where the CPU is in it.
import { CHUNK_RECORDS, HEAD_OP, HEAD_SHIFT, OP_EVENT, region, setting } from './layout';
import { EVENT_WORDS, SET_CPUS } from './ops';
import { cursor, publish } from './recent';

/** Where one CPU is in its program. */
@unmanaged
export class Program {
  base: u64; //     records of earlier pieces
  seen: u64; //     records executed at its last step that others can see
  cursor: u32; //   record in hand
  done: u32; //     accesses of it that are done
  begun: u32; //    1: its first access has been translated
  fetchPage: u32; // page id + 1 of the open fetch run
  dataPage: u32; //  of the open data run, and
  dataWrites: u32; // whether it writes
  again: u32; //    bit 0: look the open fetch run up again before its next access; bit 1: the data run
  granted: u32; //  page id + 1 that has just been translated at this CPU's turn
  counted: u32; //  the miss in hand has been counted; bits as in `again`
  missed: u32; //   page id that waits for the turn
  missedFetch: u32;
  missedWrite: u32;
  nextPost: u32; // index among the posts of the piece
  looked: u32; //   kinds whose next access has been looked up already; bits as in `again`
  records: u32; //  of the piece
  postCount: u32;
  last: u32; //     1: there are no more pieces
  heads: usize; //  u32[CHUNK_RECORDS], then
  counts: usize; // u16[CHUNK_RECORDS] fetches, u16[CHUNK_RECORDS] data accesses
  datas: usize;
  events: usize; // f64[CHUNK_RECORDS * EVENT_WORDS]
  posts: usize; //  u32[CHUNK_RECORDS * 2]: record, page << 1 | write
}

let programs: usize = 0; // Program[cpus]

export function initPrograms(): void {
  const capacity = <usize>CHUNK_RECORDS;
  programs = region(<usize>setting(SET_CPUS) * offsetof<Program>());
  for (let cpu: u32 = 0; cpu < setting(SET_CPUS); cpu++) {
    const p = programOf(cpu);
    p.heads = region(capacity << 2);
    p.counts = region(capacity << 1);
    p.datas = region(capacity << 1);
    p.events = region(capacity * EVENT_WORDS << 3);
    p.posts = region(capacity << 3);
  }
}
@inline
export function programOf(cpu: u32): Program {
  return changetype<Program>(programs + <usize>cpu * offsetof<Program>());
}
export function headsAt(cpu: u32): usize {
  return programOf(cpu).heads;
}
export function eventsAt(cpu: u32): usize {
  return programOf(cpu).events;
}
export function postsAt(cpu: u32): usize {
  return programOf(cpu).posts;
}

/** A new piece of `records` records, with `posts` posts, is in place for a CPU; no run is open in it. */
export function feedCpu(cpu: u32, records: u32, posts: u32): void {
  const p = programOf(cpu);
  p.base += p.records;
  p.records = records;
  p.postCount = posts;
  p.cursor = p.done = p.begun = p.nextPost = 0;
  endRuns(p);
}
/** The CPU has had its last piece. */
export function endCpu(cpu: u32): void {
  programOf(cpu).last = 1;
}
/** No run is open any more. */
@inline
export function endRuns(p: Program): void {
  p.fetchPage = p.dataPage = p.again = p.looked = 0;
}

/** Others see how far the CPU has come. */
export function show(p: Program): void {
  const executed = p.base + p.cursor;
  publish(cursor() + executed - p.seen);
  p.seen = executed;
}

@inline
export function nFetches(p: Program, index: u32): u64 {
  return load<u16>(p.counts + (<usize>index << 1));
}
@inline
export function nDatas(p: Program, index: u32): u64 {
  return load<u16>(p.datas + (<usize>index << 1));
}
/** Whether a post is due before the record in hand. */
@inline
export function hasPost(p: Program): bool {
  return p.nextPost < p.postCount && load<u32>(p.posts + (<usize>p.nextPost << 3)) < p.cursor;
}
@inline
export function isEvent(p: Program, index: u32): bool {
  return index < p.records && (load<u32>(p.heads + (<usize>index << 2)) & HEAD_OP) == OP_EVENT;
}
/** Row of the event in hand. */
@inline
export function event(p: Program): usize {
  return p.events + (<usize>(load<u32>(p.heads + (<usize>p.cursor << 2)) >> HEAD_SHIFT) * EVENT_WORDS << 3);
}
@inline
export function field(row: usize, index: u32): u64 {
  return <u64>load<f64>(row + (<usize>index << 3));
}

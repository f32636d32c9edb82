// Flush queues of the DMA API: unmaps wait in a ring per CPU and domain until a flush of the domain has passed; only then
// their IOVAs are free (Linux 6.1 drivers/iommu/dma-iommu.c queue_iova, fq_flush_timeout). One timer per domain.
import { Agent, agent, block, BLOCKED, spend, wake } from './clock';
import { bump, N_QUEUE_FULL, N_QUEUE_TIMER, N_QUEUED } from './counters';
import { freeIova } from './iova';
import { cost, region, setting, settingU64 } from './layout';
import { LOG_QUEUE, note, QUEUE_ENTERS, QUEUE_FLUSHED, QUEUE_FLUSHES, QUEUE_LEAVES } from './log';
import { setFlushed, spaceBase, unmaps } from './mapping';
import { CAUSE_FLUSH_QUEUE, CAUSE_IDLE, COST_ENQUEUE, SET_CPUS, SET_QUEUE, SET_SPACES } from './ops';
import { SPACE_PAGES_LG2 } from './command';
import { beginSubmission, stepSubmission, Submission } from './submit';

@unmanaged
class Ring {
  head: u32;
  count: u32;
}
@unmanaged
class Queued {
  counter: u64; // flushes begun when it came
  page: u32;
  pages: u32;
}
/** A domain's counters and its timer. */
@unmanaged
class Cookie {
  started: u64;
  finished: u64;
  fire: u64; //    when the timer runs out; 0 = it is not armed
  covers: u64; //  unmaps that the timer's flush covers
  cpu: u32; //     that armed it
  runsOn: u32; //  CPU on which it fired
  job: Submission; // the timer's
}
const COOKIE_BYTES: usize = offsetof<Cookie>();

let cookies: usize = 0; // Cookie[spaces]
let rings: usize = 0; //   Ring and its entries, [spaces * cpus]
let ringBytes: usize = 0;
let slots: u32 = 0;
let firstTimer: u32 = 0;

export function initQueues(timers: u32): void {
  firstTimer = timers;
  slots = max<u32>(2, setting(SET_QUEUE));
  ringBytes = offsetof<Ring>() + <usize>slots * offsetof<Queued>();
  rings = region(<usize>setting(SET_SPACES) * setting(SET_CPUS) * ringBytes);
  cookies = region(<usize>setting(SET_SPACES) * COOKIE_BYTES);
  for (let space: u32 = 0; space < setting(SET_SPACES); space++) {
    cookie(space).job = changetype<Submission>(region(offsetof<Submission>()));
    block(agent(firstTimer + space), CAUSE_IDLE);
  }
}
@inline
function cookie(space: u32): Cookie {
  return changetype<Cookie>(cookies + <usize>space * COOKIE_BYTES);
}
@inline
function ringOf(space: u32, cpu: u32): Ring {
  return changetype<Ring>(rings + <usize>(space * setting(SET_CPUS) + cpu) * ringBytes);
}
@inline
function queued(ring: Ring, index: u32): Queued {
  return changetype<Queued>(changetype<usize>(ring) + offsetof<Ring>() + <usize>(index % slots) * offsetof<Queued>());
}

/** Frees what flushes have passed. Returns whether the CPU's ring is full all the same: one slot stays empty. */
export function makeRoom(who: Agent, cpu: u32, space: u32): bool {
  reclaim(who, cpu, space, cpu);
  return ringOf(space, cpu).count == slots - 1;
}
function reclaim(who: Agent, owner: u32, space: u32, cpu: u32): void {
  const ring = ringOf(space, owner);
  while (ring.count != 0) {
    const oldest = queued(ring, ring.head);
    if (oldest.counter >= cookie(space).finished) return;
    freeIova(who, cpu, space, oldest.page, oldest.pages);
    note(LOG_QUEUE, who.id, QUEUE_LEAVES, 0, 0, who.clock, space);
    ring.head = (ring.head + 1) % slots;
    ring.count--;
  }
}

/** A flush of the domain begins; returns what it covers. */
export function beginFlush(job: Submission, space: u32, who: Agent): u64 {
  note(LOG_QUEUE, who.id, QUEUE_FLUSHES, 0, 0, who.clock, space);
  cookie(space).started++;
  const base = spaceBase(space);
  beginSubmission(job, base, base + ((<u64>1 << SPACE_PAGES_LG2) - 1), true);
  return unmaps();
}
export function endFlush(space: u32, covered: u64, who: Agent): void {
  note(LOG_QUEUE, who.id, QUEUE_FLUSHED, 0, 0, who.clock, space);
  cookie(space).finished++;
  setFlushed(space, covered);
}
@inline
export function countFull(): void {
  bump(N_QUEUE_FULL);
}

/** Puts an IOVA on the CPU's ring, which has room, and arms the timer if it is not armed. */
export function enqueue(who: Agent, cpu: u32, space: u32, page: u32, pages: u32): void {
  const ring = ringOf(space, cpu);
  assert(ring.count < slots - 1);
  const last = queued(ring, ring.head + ring.count);
  last.page = page;
  last.pages = pages;
  last.counter = cookie(space).started;
  ring.count++;
  bump(N_QUEUED);
  note(LOG_QUEUE, who.id, QUEUE_ENTERS, 0, 0, who.clock, space);
  spend(who, CAUSE_FLUSH_QUEUE, cost(COST_ENQUEUE));
  arm(space, cpu, who.clock);
}

/** Timers fire on ticks: the time-out is rounded up to them, and the tick under way does not count. */
function arm(space: u32, cpu: u32, now: u64): void {
  const queue = cookie(space);
  if (queue.fire != 0) return;
  const tick = settingU64(SET_QUEUE + 2);
  queue.fire = (now / tick + (settingU64(SET_QUEUE + 1) + tick - 1) / tick + 1) * tick;
  queue.cpu = cpu;
  const timer = agent(firstTimer + space);
  if (timer.state == BLOCKED && timer.phase == 0) wake(timer, queue.fire);
}

/** One turn of a domain's timer. */
export function stepTimer(timer: Agent): void {
  const space = timer.id - firstTimer;
  const queue = cookie(space);
  if (timer.phase == 0) {
    timer.phase = 1;
    queue.fire = 0;
    queue.runsOn = queue.cpu; // a CPU may arm it again while it flushes
    bump(N_QUEUE_TIMER);
    queue.covers = beginFlush(queue.job, space, timer);
  }
  if (!stepSubmission(queue.job, timer)) return;
  endFlush(space, queue.covers, timer);
  for (let cpu: u32 = 0; cpu < setting(SET_CPUS); cpu++) reclaim(timer, cpu, space, queue.runsOn);
  timer.phase = 0;
  block(timer, CAUSE_IDLE);
  if (queue.fire != 0) wake(timer, queue.fire);
}

// Flush queues of the DMA API: unmaps wait in a ring per CPU and domain until a flush of the domain has passed; only then
// their IOVAs are free (Linux 6.1 drivers/iommu/dma-iommu.c queue_iova, fq_flush_timeout). One timer per domain. A domain may
// have one ring for all CPUs (since 6.7). In 2017 the rings of a CPU were for all domains, and so was a flush (Linux 4.12
// intel-iommu.c flush_unmaps, amd_iommu.c queue_flush_all).
import { Agent, agent, block, BLOCKED, spend, wake } from './clock';
import { bump, N_QUEUE_FULL, N_QUEUE_TIMER, N_QUEUED } from './counters';
import { hazard, HAZARD_IOVA_BEFORE_FLUSH } from './hazard';
import { freeIova } from './iova';
import { cost, region, setting, settingU64 } from './layout';
import { LOG_QUEUE, note, QUEUE_ENTERS, QUEUE_FLUSHED, QUEUE_FLUSHES, QUEUE_LEAVES } from './log';
import { setFlushed, spaceBase, unmaps } from './mapping';
import {
  CAUSE_FLUSH_QUEUE, CAUSE_IDLE, COST_ENQUEUE, DRAIN_DOMAIN, DRAIN_EACH, DRAIN_GLOBAL, SET_CPUS, SET_DRAIN, SET_ONE_QUEUE, SET_QUEUE,
  SET_SPACES,
} from './ops';
import { SPACE_PAGES_LG2 } from './command';
import { Submission } from './submission';
import { beginSubmission, stepSubmission } from './submit';

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
  space: u32;
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
  next: u32; //    domain that the timer's flush is at
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
/** The domain whose queues are a domain's: the first, where they are for all. */
@inline
function homeOf(space: u32): u32 {
  return setting(SET_DRAIN) == DRAIN_DOMAIN ? space : 0;
}
@inline
function ringOf(space: u32, cpu: u32): Ring {
  const own = setting(SET_ONE_QUEUE) != 0 ? 0 : cpu;
  return changetype<Ring>(rings + <usize>(space * setting(SET_CPUS) + own) * ringBytes);
}
@inline
function queued(ring: Ring, index: u32): Queued {
  return changetype<Queued>(changetype<usize>(ring) + offsetof<Ring>() + <usize>(index % slots) * offsetof<Queued>());
}

/** Frees what flushes have passed. Returns whether the CPU's ring is full all the same: one slot stays empty. */
export function makeRoom(who: Agent, cpu: u32, space: u32): bool {
  const home = homeOf(space);
  reclaim(who, cpu, home, cpu);
  return ringOf(home, cpu).count == slots - 1;
}
function reclaim(who: Agent, owner: u32, space: u32, cpu: u32): void {
  const ring = ringOf(space, owner);
  while (ring.count != 0) {
    const oldest = queued(ring, ring.head);
    if (oldest.counter >= cookie(space).finished) return;
    if (!hazard(HAZARD_IOVA_BEFORE_FLUSH)) freeIova(who, cpu, oldest.space, oldest.page, oldest.pages);
    note(LOG_QUEUE, who.id, QUEUE_LEAVES, 0, 0, who.clock, oldest.space);
    ring.head = (ring.head + 1) % slots;
    ring.count--;
  }
}

/** A flush of the domain begins; returns what it covers. */
export function beginFlush(job: Submission, space: u32, who: Agent): u64 {
  note(LOG_QUEUE, who.id, QUEUE_FLUSHES, 0, 0, who.clock, space);
  const home = homeOf(space);
  cookie(home).started++;
  beginDomain(job, home);
  return unmaps();
}
function beginDomain(job: Submission, space: u32): void {
  const base = spaceBase(space);
  beginSubmission(job, base, base + ((<u64>1 << SPACE_PAGES_LG2) - 1), true);
}
/** One step of a flush that is at a domain. Returns where it is then: the number of domains when it is over. */
export function stepFlush(job: Submission, who: Agent, at: u32): u32 {
  while (stepSubmission(job, who)) {
    if (setting(SET_DRAIN) != DRAIN_EACH || ++at == setting(SET_SPACES)) return setting(SET_SPACES);
    beginDomain(job, at);
  }
  return at;
}
/** A flush is over; that of all domains by one command frees what any CPU has queued. */
export function endFlush(cpu: u32, space: u32, covered: u64, who: Agent): void {
  note(LOG_QUEUE, who.id, QUEUE_FLUSHED, 0, 0, who.clock, space);
  const home = homeOf(space);
  cookie(home).finished++;
  if (setting(SET_DRAIN) == DRAIN_DOMAIN) setFlushed(space, covered);
  else for (let each: u32 = 0; each < setting(SET_SPACES); each++) setFlushed(each, covered);
  if (setting(SET_DRAIN) == DRAIN_GLOBAL) reclaimAll(who, home, cpu);
}
function reclaimAll(who: Agent, home: u32, cpu: u32): void {
  for (let owner: u32 = 0; owner < setting(SET_CPUS); owner++) reclaim(who, owner, home, cpu);
}
@inline
export function countFull(): void {
  bump(N_QUEUE_FULL);
}

/** Puts an IOVA on the CPU's ring, which has room, and arms the timer if it is not armed. */
export function enqueue(who: Agent, cpu: u32, space: u32, page: u32, pages: u32): void {
  const home = homeOf(space);
  const ring = ringOf(home, cpu);
  assert(ring.count < slots - 1);
  const last = queued(ring, ring.head + ring.count);
  last.page = page;
  last.pages = pages;
  last.space = space;
  last.counter = cookie(home).started;
  ring.count++;
  bump(N_QUEUED);
  note(LOG_QUEUE, who.id, QUEUE_ENTERS, 0, 0, who.clock, space);
  spend(who, CAUSE_FLUSH_QUEUE, cost(COST_ENQUEUE));
  if (hazard(HAZARD_IOVA_BEFORE_FLUSH)) freeIova(who, cpu, space, page, pages);
  arm(home, cpu, who.clock);
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
    queue.next = 0;
    queue.covers = beginFlush(queue.job, space, timer);
  }
  queue.next = stepFlush(queue.job, timer, queue.next);
  if (queue.next != setting(SET_SPACES)) return;
  endFlush(queue.runsOn, space, queue.covers, timer);
  reclaimAll(timer, space, queue.runsOn);
  timer.phase = 0;
  block(timer, CAUSE_IDLE);
  if (queue.fire != 0) wake(timer, queue.fire);
}

// The work queue that the handler of page requests gives groups to, once they are complete, for its workers to take (Linux 6.12
// drivers/iommu/io-pgfault.c iommu_report_device_fault; 4.12 amd_iommu_v2.c ppr_notifier queues each request by itself: taken to be
// the same). Of a group that lacks a request, since their queue was full, nothing is kept (6.12 iopf_queue_discard_partial; of AMD assumed).
import { swap } from './bank';
import { Agent, agent, block, BLOCKED, wake } from './clock';
import { region, setting } from './layout';
import { CAUSE_IDLE, CAUSE_PAGE_REQUEST, SET_OUTSTANDING, SET_PRI, SET_PRI_GROUP, SET_PRQ_WORKERS } from './ops';

/** Phase of a worker that has nothing to do. */
export const SLEEPS: u32 = 0;

/** A group that gathers, or is complete; its requests are page number << 1 | write. */
@unmanaged
export class Work {
  ticket: u64; // first come, first served; 0: it is not complete
  taken: u32; //  worker + 1
  group: u32;
  count: u32;
  next: u32; //   the request in hand
  bad: u32; //    1: a request was refused
}
@unmanaged
class State {
  last: u64; //    ticket
  works: u32; //   that are not done
  waiting: u32; // agent + 1 of the handler, which waits for room
}

let gathering: usize = 0; // Work[places], by the index of the group
let works: usize = 0; //     Work[places]
let state: State = changetype<State>(0);
let places: u32 = 0;
let width: u32 = 0; //       requests of a group at most
let first: u32 = 0; //       agent of worker 0

export function initWorkqueue(firstAgent: u32): void {
  first = firstAgent;
  places = setting(SET_OUTSTANDING);
  width = min(setting(SET_PRI_GROUP), setting(SET_PRI));
  const room: usize = hasWorkers() ? <usize>places : 0;
  gathering = region(room * bytes());
  works = region(room * bytes());
  state = changetype<State>(region(offsetof<State>()));
  for (let i: u32 = 0; i < setting(SET_PRQ_WORKERS); i++) block(agent(first + i), CAUSE_IDLE);
}
export function swapWorkqueue(): void {
  gathering = swap(gathering);
  works = swap(works);
  state = swap(state);
  places = swap(places);
  width = swap(width);
  first = swap(first);
}
/** Whether the handler gives groups away. */
@inline
export function hasWorkers(): bool {
  return setting(SET_PRQ_WORKERS) != 0;
}
function bytes(): usize {
  return offsetof<Work>() + (<usize>width << 3);
}
function gatheringOf(group: u32): Work {
  return changetype<Work>(gathering + <usize>group * bytes());
}
function workAt(index: u32): Work {
  return changetype<Work>(works + <usize>index * bytes());
}
@inline
function requestOf(work: Work, index: u32): usize {
  return changetype<usize>(work) + offsetof<Work>() + (<usize>index << 3);
}

// ---- the handler ----

/** A request of a group. Returns whether it is in; if not, the handler blocks until there is room for one more group. */
export function gather(who: Agent, group: u32, vpn: u64, write: bool, last: bool): bool {
  if (last && state.works == places) {
    state.waiting = who.id + 1;
    block(who, CAUSE_PAGE_REQUEST);
    return false;
  }
  const gathered = gatheringOf(group);
  store<u64>(requestOf(gathered, gathered.count++), (vpn << 1) | (write ? 1 : 0));
  if (!last) return true;
  let free: u32 = 0;
  while (workAt(free).ticket != 0) free++;
  const work = workAt(free);
  memory.copy(changetype<usize>(work), changetype<usize>(gathered), bytes());
  work.ticket = ++state.last;
  work.group = group;
  gathered.count = 0;
  state.works++;
  for (let i: u32 = 0; i < setting(SET_PRQ_WORKERS); i++) {
    const worker = agent(first + i);
    if (worker.state != BLOCKED || worker.phase != SLEEPS) continue;
    wake(worker, who.clock);
    break;
  }
  return true;
}
/** Requests were lost: what has gathered will not be complete. */
export function forgetGathered(): void {
  if (hasWorkers()) for (let group: u32 = 0; group < places; group++) gatheringOf(group).count = 0;
}

// ---- a worker ----

/** The oldest group that nobody has in hand. Returns whether there is one; if not, the worker blocks until it is woken. */
export function takeWork(who: Agent): bool {
  let oldest = changetype<Work>(0);
  for (let i: u32 = 0; i < places; i++) {
    const work = workAt(i);
    if (work.ticket == 0 || work.taken != 0) continue;
    if (changetype<usize>(oldest) == 0 || work.ticket < oldest.ticket) oldest = work;
  }
  if (changetype<usize>(oldest) == 0) {
    block(who, CAUSE_IDLE);
    return false;
  }
  oldest.taken = who.id + 1;
  return true;
}
/** What the worker has in hand. */
export function workOf(who: Agent): Work {
  let index: u32 = 0;
  while (workAt(index).taken != who.id + 1) index++;
  return workAt(index);
}
/** Page number << 1 | write of the request in hand. */
export function requestInHand(work: Work): u64 {
  return load<u64>(requestOf(work, work.next));
}
/** The group is answered. */
export function endWork(who: Agent): void {
  memory.fill(changetype<usize>(workOf(who)), 0, offsetof<Work>());
  state.works--;
  if (state.waiting != 0) wake(agent(state.waiting - 1), who.clock);
  state.waiting = 0;
}

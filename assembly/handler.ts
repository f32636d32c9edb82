// The driver's handler of page requests, a thread of its own: takes what is in the queue as one batch, faults pages in one by
// one, answers each group by a command (of a PASID that nobody has: `invalid`), and gives the slots back behind the batch (Linux
// 4.12 drivers/iommu/intel-svm.c prq_event_thread). A group is refused as a whole: behind a bad request the others of its group are not
// looked at. Where there is a work queue, the thread gives groups to that, and workers do the rest, each with one group at a time.
import { swap } from './bank';
import { Agent, block, spend } from './clock';
import { pageBound } from './binding';
import { allowed, beginFault, forbidden, stepList } from './fault';
import { cost, region } from './layout';
import { CAUSE_IDLE, CAUSE_PAGE_REQUEST, COST_PRQ_REQUEST } from './ops';
import { runOf } from './path';
import { INVALID, SUCCESS } from './pri';
import { after, isLastOfGroup, isStopMarker, prqHead, prqTail, requestAt, requestedPage, requestGroup, requestsWrite, setPrqHead, takeRequests } from './prq';
import { beginResponse, stepSubmission } from './submit';
import { endWork, forgetGathered, gather, hasWorkers, requestInHand, SLEEPS, takeWork, workOf } from './workqueue';

// What serving a request has come to.
const IS_SERVED: u32 = 0;
const IS_BAD: u32 = 1;
const RUNS: u32 = 2; //  a fault's list
const WAITS: u32 = 3; // and looks again

// Phases of the thread and of workers; asleep it is 0, see prq.ts.
const NEXT: u32 = 1; //   looks for the next request of the batch
const LOOK: u32 = 2; //   has one in hand
const HANDLE: u32 = 3; // the fault's list runs
const ANSWER: u32 = 4; // the response is submitted

@unmanaged
class State {
  slot: u32;
  end: u32; // of the batch
  bad: u32; // 1: a request of the group was refused
}
let state: State = changetype<State>(0);

export function initHandler(): void {
  state = changetype<State>(region(offsetof<State>()));
}

export function swapHandler(): void {
  state = swap(state);
}

/** One turn. */
export function stepHandler(who: Agent): void {
  if (who.phase == SLEEPS) beginBatch(who);
  else if (who.phase == NEXT) nextRequest(who);
  else if (who.phase == LOOK) look(who);
  else if (who.phase == HANDLE) {
    if (stepList(who)) finish(who);
  } else if (stepSubmission(runOf(who.id).job, who)) {
    state.slot = after(state.slot);
    who.phase = NEXT;
  }
}
function beginBatch(who: Agent): void {
  state.slot = prqHead();
  state.end = takeRequests();
  who.phase = NEXT;
}
function nextRequest(who: Agent): void {
  if (state.slot != state.end) {
    who.phase = LOOK;
    spend(who, CAUSE_PAGE_REQUEST, cost(COST_PRQ_REQUEST));
    return;
  }
  if (setPrqHead(state.end, who.clock)) forgetGathered();
  if (prqTail() != state.end) {
    beginBatch(who);
    return;
  }
  // What was dropped of a group has no end here.
  state.slot = state.end = state.bad = 0;
  who.phase = SLEEPS;
  block(who, CAUSE_IDLE);
}
function look(who: Agent): void {
  const at = requestAt(state.slot);
  if (isStopMarker(at)) {
    state.slot = after(state.slot);
    who.phase = NEXT;
    return;
  }
  if (hasWorkers()) {
    if (!gather(who, requestGroup(at), requestedPage(at), requestsWrite(at), isLastOfGroup(at))) return;
    state.slot = after(state.slot);
    who.phase = NEXT;
    return;
  }
  const seen = serve(who, requestedPage(at), requestsWrite(at), state.bad != 0);
  if (seen == RUNS) who.phase = HANDLE;
  if (seen == IS_BAD) state.bad = 1;
  if (seen <= IS_BAD) finish(who);
}
/** The request in hand is done with. */
function finish(who: Agent): void {
  const at = requestAt(state.slot);
  if (!isLastOfGroup(at)) {
    state.slot = after(state.slot);
    who.phase = NEXT;
    return;
  }
  beginResponse(runOf(who.id).job, requestGroup(at), state.bad != 0 ? INVALID : SUCCESS);
  state.bad = 0;
  who.phase = ANSWER;
}

/** One turn of a worker. */
export function stepWorker(who: Agent): void {
  if (who.phase == HANDLE) {
    if (stepList(who)) finishWork(who);
  } else if (who.phase == LOOK) lookAtWork(who);
  else {
    if (who.phase == ANSWER) {
      if (!stepSubmission(runOf(who.id).job, who)) return;
      endWork(who);
    }
    who.phase = takeWork(who) ? LOOK : SLEEPS;
  }
}
function lookAtWork(who: Agent): void {
  const work = workOf(who);
  const request = requestInHand(work);
  const seen = serve(who, request >> 1, (request & 1) != 0, work.bad != 0);
  if (seen == RUNS) who.phase = HANDLE;
  if (seen == IS_BAD) work.bad = 1;
  if (seen <= IS_BAD) finishWork(who);
}
/** The request in hand of a worker's group is done with. */
function finishWork(who: Agent): void {
  const work = workOf(who);
  who.phase = LOOK;
  if (++work.next != work.count) return;
  beginResponse(runOf(who.id).job, work.group, work.bad != 0 ? INVALID : SUCCESS);
  who.phase = ANSWER;
}

/** One look at the page of a request: IS_SERVED, IS_BAD, RUNS or WAITS. Behind a bad one of its group nothing is looked at. */
function serve(who: Agent, vpn: u64, write: bool, bad: bool): u32 {
  const found = pageBound(vpn);
  const page = found - 1;
  if (bad || found == 0 || forbidden(page, write)) return IS_BAD;
  if (allowed(page, write)) return IS_SERVED;
  return beginFault(who, page, write) ? RUNS : WAITS;
}

// The driver's handler of page requests, a thread of its own: takes what is in the queue as one batch, faults pages in one by
// one, answers each group by a command (of a PASID that nobody has: `invalid`), and gives the slots back behind the batch (Linux
// 4.12 drivers/iommu/intel-svm.c prq_event_thread). A group is refused as a whole: behind a bad request the others of its group are not looked at.
import { swap } from './bank';
import { pageBound } from './binding';
import { Agent, block, spend } from './clock';
import { allowed, beginFault, forbidden, stepList } from './fault';
import { cost, region } from './layout';
import { CAUSE_IDLE, CAUSE_PAGE_REQUEST, COST_PRQ_REQUEST } from './ops';
import { runOf } from './path';
import { INVALID, SUCCESS } from './pri';
import { after, isLastOfGroup, isStopMarker, prqHead, prqTail, requestAt, requestedPage, requestGroup, requestsWrite, setPrqHead, takeRequests } from './prq';
import { beginResponse, stepSubmission } from './submit';

// Phases; asleep it is 0, see prq.ts.
const SLEEPS: u32 = 0;
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
  setPrqHead(state.end, who.clock);
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
  const found = pageBound(requestedPage(at));
  const page = found - 1;
  const write = requestsWrite(at);
  if (state.bad == 0 && (found == 0 || forbidden(page, write))) state.bad = 1;
  if (state.bad == 0 && !allowed(page, write)) {
    if (beginFault(who, page, write)) who.phase = HANDLE;
    return;
  }
  finish(who);
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

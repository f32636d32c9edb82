// Agents and their clocks. The runnable agent with the smallest (clock, id) takes the next step. Nobody polls: who waits
// is blocked and is woken, first come first served, with clock = max(own, waker's).
import { IS_COMMON } from './common';
import { fixed, region } from './layout';
import { CAUSES } from './ops';

export const RUNNABLE: u32 = 0;
export const BLOCKED: u32 = 1;
export const DONE: u32 = 2;

/** Agents at most: `waiters` of a lock is a byte each. */
export const MAX_AGENTS: u32 = 64;

@unmanaged
export class Agent {
  clock: u64; //    ps
  since: u64; //    clock at which it blocked
  state: u32; //    RUNNABLE, BLOCKED, DONE
  waitsFor: u32; // cause under which its wait counts
  id: u32;
  phase: u32; //    the agent's own state machine: 0 at rest
}
const AGENT_BYTES: usize = offsetof<Agent>();

let agents: usize = 0; //    Agent[agentCount]
let runnable: usize = 0; //  u64: bit = agent whose state is RUNNABLE, so that who is next is asked of those alone
let rival: u64 = 0; //       clock of the agent that would be next if the one that `nextAgent` found were not there
let causes: usize = 0; //    u64[agentCount * CAUSES]: picoseconds by cause
let rows: usize = 0; //      u32[rowRoom]: rows of agentCount epochs that locks and flags keep, of a race
let rowCount: u32 = 0;
let rowRoom: u32 = 0;
let moved: bool = true; //   since `settleEpochs`
let hears: bool = true; //   whether anybody asks who knows what
let knowledge: usize = 0; // u32[agentCount * agentCount]: vector clocks, row = who knows, column = of whom
export let agentCount: u32 = 0;

/** Room for what the time of `count` agents goes into: statistics. */
export function initCauses(count: u32): void {
  causes = region(<usize>count * CAUSES << 3);
}
/** All agents runnable at time 0, each at epoch 1 of its own. `asked`: whether anybody will ask what somebody knows. */
export function initAgents(count: u32, asked: bool = true): void {
  assert(count <= MAX_AGENTS);
  hears = asked;
  rowCount = rowRoom = 0;
  agentCount = count;
  agents = region(<usize>count * AGENT_BYTES);
  runnable = region(8);
  store<u64>(runnable, count == 64 ? ~0 : (<u64>1 << count) - 1);
  knowledge = region(<usize>count * count << 2);
  for (let id: u32 = 0; id < count; id++) {
    agent(id).id = id;
    store<u32>(knowledgeOf(id) + (<usize>id << 2), 1);
  }
}
@inline
export function agent(id: u32): Agent {
  return changetype<Agent>(agents + <usize>id * AGENT_BYTES);
}
export function causesAt(): usize {
  return causes;
}

/** Time passes for an agent; `cause` says what for. */
@inline
export function spend(who: Agent, cause: u32, ps: u64): void {
  who.clock += ps;
  const at = causes + ((<usize>who.id * CAUSES + cause) << 3);
  store<u64>(at, load<u64>(at) + ps);
}

@inline
function setState(who: Agent, state: u32): void {
  const bit = <u64>1 << who.id;
  rival = 0;
  who.state = state;
  store<u64>(runnable, state == RUNNABLE ? load<u64>(runnable) | bit : load<u64>(runnable) & ~bit);
}
/** The agent has come to its end. */
export function retire(who: Agent): void {
  setState(who, DONE);
}
/** An agent that had come to its end goes on. */
export function revive(who: Agent): void {
  assert(who.state == DONE);
  setState(who, RUNNABLE);
}

/** The agent waits until somebody wakes it. */
export function block(who: Agent, cause: u32): void {
  assert(who.state == RUNNABLE);
  setState(who, BLOCKED);
  who.since = who.clock;
  who.waitsFor = cause;
}

/** Wakes a blocked agent at `now` or at its own time, whichever is later; the wait counts under its cause. */
export function wake(who: Agent, now: u64): u64 {
  assert(who.state == BLOCKED);
  setState(who, RUNNABLE);
  const waited = now > who.clock ? now - who.clock : 0;
  spend(who, who.waitsFor, waited);
  who.waitsFor = 0;
  return waited;
}

/** The runnable agent with the smallest (clock, id), or -1. */
export function nextAgent(): i32 {
  let best: i32 = -1;
  let clock: u64 = u64.MAX_VALUE;
  let rivals: u64 = u64.MAX_VALUE;
  for (let left = load<u64>(runnable); left != 0; left &= left - 1) {
    const id = <i32>ctz(left);
    const other = agent(id).clock;
    // Selected, not branched on: who of many is next cannot be foretold.
    const isFirst = other < clock;
    const second = select<u64>(clock, other, isFirst);
    rivals = select<u64>(second, rivals, second < rivals);
    clock = select<u64>(other, clock, isFirst);
    best = select<i32>(id, best, isFirst);
  }
  rival = rivals;
  return best;
}
/** Whether the agent that `nextAgent` has found is certainly still the next: its clock is behind, and nobody has come or gone. */
@inline
export function staysNext(who: Agent): bool {
  return who.clock < rival;
}
/** A runnable agent's time is taken back to `now`, */
export function bringForward(who: Agent, cause: u32, now: u64): void {
  rival = 0;
  spend(who, cause, now - who.clock);
}
/** or its clock alone: what the time went into stays as it was counted. */
export function turnBack(who: Agent, now: u64): void {
  rival = 0;
  who.clock = now;
}
/** Agents that can take a step, a bit each. */
@inline
export function runnables(): u64 {
  return load<u64>(runnable);
}

// ---- vector clocks: who has heard of whose epoch, through sync edges only ----

@inline
export function knowledgeOf(id: u32): usize {
  return knowledge + (<usize>id * agentCount << 2);
}
/** The agent's own epoch: grows at every release. */
@inline
export function epoch(id: u32): u32 {
  return load<u32>(knowledgeOf(id) + (<usize>id << 2));
}
/** An epoch has begun, or a page's first use has come or gone. */
@inline
export function moveEpochs(): void {
  moved = true;
}
/** Whether that has been since this was last called. */
export function settleEpochs(): bool {
  const was = moved;
  moved = false;
  return was;
}

/** From here on rows of epochs are listed, `count` at most. */
export function listRows(count: u32): void {
  rows = fixed(<usize>count << 2);
  rowRoom = count;
}
/** A row that keeps what somebody knew, for others to hear. */
export function addRow(row: usize): void {
  if (rowRoom == 0) return;
  if (rowCount == rowRoom) unreachable();
  store<u32>(rows + (<usize>rowCount << 2), <u32>row);
  rowCount++;
}
@inline
export function heardRows(): u32 {
  return rowCount;
}
@inline
export function heardRow(index: u32): usize {
  return <usize>load<u32>(rows + (<usize>index << 2));
}

/** Copies what `id` knows into a row of agentCount words, and starts its next epoch. */
export function release(id: u32, row: usize): void {
  if (IS_COMMON || !hears) return;
  moveEpochs();
  const own = knowledgeOf(id);
  memory.copy(row, own, <usize>agentCount << 2);
  store<u32>(own + (<usize>id << 2), load<u32>(own + (<usize>id << 2)) + 1);
}
/** Takes in what a row knows. */
export function acquire(id: u32, row: usize): void {
  if (IS_COMMON || !hears) return;
  const own = knowledgeOf(id);
  for (let i: usize = 0; i < <usize>agentCount << 2; i += 4) {
    const heard = load<u32>(row + i);
    if (heard > load<u32>(own + i)) store<u32>(own + i, heard);
  }
}
/** Two agents tell each other what they know; each then starts its next epoch. */
export function exchange(a: u32, b: u32): void {
  moveEpochs();
  acquire(a, knowledgeOf(b));
  acquire(b, knowledgeOf(a));
  store<u32>(knowledgeOf(a) + (<usize>a << 2), epoch(a) + 1);
  store<u32>(knowledgeOf(b) + (<usize>b << 2), epoch(b) + 1);
}
/** Whether `id` has heard of epoch `since` of agent `whose`. */
@inline
export function knows(id: u32, whose: u32, since: u32): bool {
  return load<u32>(knowledgeOf(id) + (<usize>whose << 2)) >= since;
}

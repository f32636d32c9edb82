// The invalidation queue as hardware sees it: a ring of 128-bit commands, a head that fetches in order, waits that wake
// their submitters. One descriptor at a time; its effect is at the end of its service time.
import { agent, Agent, block, RUNNABLE, wake } from './clock';
import { COMMAND_BYTES } from './command';
import { MAX_AGENTS } from './clock';
import { region, setting } from './layout';
import { CAUSE_IDLE, CAUSE_WAIT, SET_RING } from './ops';

let slots: usize = 0; //   u64[2 * size]
let callers: usize = 0; // u8[size]: agent + 1 that a wait wakes
let state: usize = 0; //   u32 head, tail, used, agents that wait for room
let queue: usize = 0; //   u8[MAX_AGENTS]: they, first come first
let size: u32 = 0;

export function initRing(): void {
  size = setting(SET_RING);
  slots = region(<usize>size * COMMAND_BYTES);
  callers = region(size);
  state = region(16);
  queue = region(MAX_AGENTS);
}

@inline
function head(): u32 {
  return load<u32>(state);
}
@inline
function tail(): u32 {
  return load<u32>(state, 4);
}
@inline
export function used(): u32 {
  return load<u32>(state, 8);
}

/** Whether `count` commands fit; one slot stays empty. If not, the agent blocks until the head has moved. */
export function room(count: u32, who: Agent): bool {
  if (used() + count < size) return true;
  const waiting = load<u32>(state, 12);
  store<u8>(queue + waiting, <u8>who.id);
  store<u32>(state, waiting + 1, 12);
  block(who, CAUSE_WAIT);
  return false;
}

/** Address of the slot at the tail, which the caller fills; `caller` is agent + 1 for a wait, else 0. */
export function push(caller: u32): usize {
  assert(used() + 1 < size);
  const at = tail();
  store<u8>(callers + at, <u8>caller);
  store<u32>(state, at + 1 == size ? 0 : at + 1, 4);
  store<u32>(state, used() + 1, 8);
  return slots + <usize>at * COMMAND_BYTES;
}

/** The tail register is written: the hardware fetches. */
export function doorbell(hardware: Agent, now: u64): void {
  if (hardware.state != RUNNABLE && hardware.phase == 0) wake(hardware, now);
}

/** Address of the command at the head, or 0 if the ring is empty; the hardware then rests. */
export function fetch(hardware: Agent): usize {
  if (used() == 0) {
    block(hardware, CAUSE_IDLE);
    return 0;
  }
  return slots + <usize>head() * COMMAND_BYTES;
}

/** The command at the head is done: its caller and those who wait for room wake. */
export function retire(now: u64): void {
  const at = head();
  const caller = load<u8>(callers + at);
  memory.fill(slots + <usize>at * COMMAND_BYTES, 0, COMMAND_BYTES);
  store<u8>(callers + at, 0);
  store<u32>(state, at + 1 == size ? 0 : at + 1);
  store<u32>(state, used() - 1, 8);
  if (caller != 0) wake(agent(caller - 1), now);
  const waiting = load<u32>(state, 12);
  store<u32>(state, 0, 12);
  for (let i: u32 = 0; i < waiting; i++) wake(agent(load<u8>(queue + i)), now);
}

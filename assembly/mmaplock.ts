// mmap_lock: faults and advice share it, changes of mappings have it alone. First come, first served, so that who comes
// behind a waiting writer waits, too (Linux kernel/locking/rwsem.c). It is modelled where several CPUs run a program.
import { acquire, Agent, agent, agentCount, block, MAX_AGENTS, release, spend, wake } from './clock';
import { add, bump, N_LOCK_WAITS, N_MMAP_WAIT_PS } from './counters';
import { cost, region, setting } from './layout';
import { LOCK_GIVEN, LOCK_TAKEN, LOCK_WAITS, LOG_LOCK, note } from './log';
import { MMAP_LOCK } from './lock';
import { CAUSE_LOCK_WAIT, COST_HANDOFF, SET_MMAP_LOCK } from './ops';

@unmanaged
class State {
  readers: u32; // that have it
  writer: u32; //  1: somebody has it alone
  waiting: u32;
}

let state: State = changetype<State>(0);
let waiters: usize = 0; // {u8 agent, u8 writes}[MAX_AGENTS], first come first
let heard: usize = 0; //   u32[agentCount]: what all who had it knew
let mine: usize = 0; //    u32[agentCount]: room for what one knows

/** What a list does about it. */
export const MMAP_NONE: u32 = 0;
export const MMAP_READ: u32 = 1;
export const MMAP_WRITE: u32 = 2;

export function initMmapLock(): void {
  state = changetype<State>(region(offsetof<State>()));
  waiters = region(<usize>MAX_AGENTS << 1);
  heard = region(<usize>agentCount << 2);
  mine = region(<usize>agentCount << 2);
}

/** Takes it, or blocks the agent, who has it when it wakes. Returns whether it has it now. */
export function takeMmap(how: u32, who: Agent): bool {
  if (setting(SET_MMAP_LOCK) == 0) return true;
  if (state.waiting == 0 && state.writer == 0 && (how == MMAP_READ || state.readers == 0)) {
    own(how, who);
    return true;
  }
  const at = waiters + (<usize>state.waiting << 1);
  state.waiting++;
  store<u8>(at, <u8>who.id);
  store<u8>(at, <u8>how, 1);
  block(who, CAUSE_LOCK_WAIT);
  note(LOG_LOCK, who.id, MMAP_LOCK, LOCK_WAITS, 0, who.clock, how);
  bump(N_LOCK_WAITS);
  return false;
}
function own(how: u32, who: Agent): void {
  if (how == MMAP_WRITE) state.writer = 1;
  else state.readers++;
  note(LOG_LOCK, who.id, MMAP_LOCK, LOCK_TAKEN, 0, who.clock, how);
  acquire(who.id, heard);
}

/** Gives it up; those whose turn it is have it at once, and wake. */
export function giveMmap(how: u32, who: Agent): void {
  if (setting(SET_MMAP_LOCK) == 0) return;
  if (how == MMAP_WRITE) state.writer = 0;
  else state.readers--;
  note(LOG_LOCK, who.id, MMAP_LOCK, LOCK_GIVEN, 0, who.clock, how);
  release(who.id, mine);
  for (let i: usize = 0; i < <usize>agentCount << 2; i += 4) {
    if (load<u32>(mine + i) > load<u32>(heard + i)) store<u32>(heard + i, load<u32>(mine + i));
  }
  while (state.waiting != 0) {
    const next = agent(load<u8>(waiters));
    const wants: u32 = load<u8>(waiters, 1);
    if (state.writer != 0 || (wants == MMAP_WRITE && state.readers != 0)) return;
    state.waiting--;
    memory.copy(waiters, waiters + 2, <usize>state.waiting << 1);
    add(N_MMAP_WAIT_PS, wake(next, who.clock));
    spend(next, CAUSE_LOCK_WAIT, cost(COST_HANDOFF));
    own(wants, next);
  }
}

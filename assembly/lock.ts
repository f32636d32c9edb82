// First-come resources: page-table locks (one per leaf table), the lock of the invalidation queue, those of the IOVA
// trees (one per domain), walkers.
import { acquire, addRow, agent, Agent, agentCount, block, release, spend, wake } from './clock';
import { add, bump, H_LOCK_HOLD, N_IOVA_WAIT_PS, N_LOCK_WAIT_PS, N_LOCK_WAITS, N_QUEUE_WAIT_PS, record } from './counters';
import { cost, region } from './layout';
import { LOCK_GIVEN, LOCK_TAKEN, LOCK_WAITS, LOG_LOCK, note } from './log';
import { CAUSE_DEVICE_WALK, CAUSE_LOCK_WAIT, CAUSE_QUEUE_WAIT, COST_HANDOFF } from './ops';

@unmanaged
export class Lock {
  free: u32; //     how many more may own it; 1 for a lock that nobody owns
  waiting: u16;
  kind: u16; //     WALKERS, PAGE_TABLE_LOCK, QUEUE_LOCK, IOVA_LOCK, DOMAIN_LOCK
  owner: u32; //    agent + 1; of locks with one owner
  index: u32; //    among those of its kind
  since: u64; //    when the owner took it
  heard: usize; //  u32[agentCount]: what the last owner knew
  waiters: usize; // u8[agentCount], first come first
}
const LOCK_BYTES: usize = offsetof<Lock>();

/** Hardware: passing one on takes no time and tells nobody anything. */
export const WALKERS: u32 = 0;
export const PAGE_TABLE_LOCK: u32 = 1;
export const QUEUE_LOCK: u32 = 2;
export const IOVA_LOCK: u32 = 3;
/** Of a domain's cache tags. */
export const DOMAIN_LOCK: u32 = 5;
/** For the log: it is no lock of this file. */
export const MMAP_LOCK: u32 = 4;

/** `count` locks, each with room for `owners`. */
export function newLocks(count: u32, owners: u32, kind: u32): usize {
  const locks = region(<usize>count * LOCK_BYTES);
  const heard = region(<usize>count * agentCount << 2);
  const waiters = region(<usize>count * agentCount);
  for (let i: u32 = 0; i < count; i++) {
    const lock = lockOf(locks, i);
    lock.free = owners;
    lock.kind = <u16>kind;
    lock.index = i;
    lock.heard = heard + (<usize>i * agentCount << 2);
    addRow(lock.heard);
    lock.waiters = waiters + <usize>i * agentCount;
  }
  return locks;
}
@inline
export function lockOf(locks: usize, index: u32): Lock {
  return changetype<Lock>(locks + <usize>index * LOCK_BYTES);
}

/** Takes the lock, or blocks the agent as its last waiter. Returns whether it has it; if not, it will when it wakes. */
export function take(lock: Lock, who: Agent): bool {
  if (lock.free == 0) {
    store<u8>(lock.waiters + lock.waiting++, <u8>who.id);
    block(who, waitOf(lock));
    note(LOG_LOCK, who.id, lock.kind, LOCK_WAITS, 0, who.clock, lock.index);
    if (lock.kind != WALKERS) bump(N_LOCK_WAITS);
    return false;
  }
  lock.free--;
  own(lock, who);
  return true;
}

/** Gives the lock up; the first waiter is its owner at once and wakes. */
export function give(lock: Lock, who: Agent): void {
  if (lock.kind == PAGE_TABLE_LOCK) record(H_LOCK_HOLD, who.clock - lock.since);
  if (lock.kind != WALKERS) release(who.id, lock.heard);
  note(LOG_LOCK, who.id, lock.kind, LOCK_GIVEN, 0, who.clock, lock.index);
  lock.owner = 0;
  if (lock.waiting == 0) {
    lock.free++;
    return;
  }
  const next = agent(load<u8>(lock.waiters));
  lock.waiting--;
  if (lock.waiting != 0) memory.copy(lock.waiters, lock.waiters + 1, lock.waiting);
  store<u8>(lock.waiters + lock.waiting, 0);
  const waited = wake(next, who.clock);
  if (lock.kind == PAGE_TABLE_LOCK) add(N_LOCK_WAIT_PS, waited);
  if (lock.kind == QUEUE_LOCK) add(N_QUEUE_WAIT_PS, waited);
  if (lock.kind == IOVA_LOCK) add(N_IOVA_WAIT_PS, waited);
  if (lock.kind != WALKERS) spend(next, waitOf(lock), cost(COST_HANDOFF));
  own(lock, next);
}

function own(lock: Lock, who: Agent): void {
  lock.owner = who.id + 1;
  lock.since = who.clock;
  note(LOG_LOCK, who.id, lock.kind, LOCK_TAKEN, 0, who.clock, lock.index);
  if (lock.kind != WALKERS) acquire(who.id, lock.heard);
}
/** What waiting for it counts as. */
function waitOf(lock: Lock): u32 {
  return lock.kind == QUEUE_LOCK ? CAUSE_QUEUE_WAIT : lock.kind == WALKERS ? CAUSE_DEVICE_WALK : CAUSE_LOCK_WAIT;
}

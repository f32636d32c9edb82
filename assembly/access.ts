// A CPU's access that misses its TLBs: by a stale entry that hardware would use, by a walk, or by a fault.
import { Cache, ENTRY_STALE, ENTRY_W, find, lookup } from './cache';
import { Agent, spend } from './clock';
import { canReach } from './consumers';
import { bump, N_CPU_LATE, N_CPU_STALE, N_L2_HIT, N_L2_MISS } from './counters';
import { fillCpu } from './cputlbs';
import { beginFault } from './fault';
import { cost, setting } from './layout';
import { BY_FILL, BY_LATE, BY_STALE, BY_WALK, LOG_ACCESS, note } from './log';
import { CAUSE_L2, CAUSE_WALK, COST_L2_HIT, COST_WALK_LEAF, COST_WALK_UPPER, SET_IDEAL, SET_SPLIT_WALKS } from './ops';
import { isLate, noteUser, oblige, OWES_NOTHING } from './safety';
import { agrees, aim, CpuCaches, entryOf, recheck } from './space';
import { frameOf, isInReach, pte, PTE_A, PTE_D, PTE_W, setPte, setReadOnly } from './table';
import { ASKS_AS_USER, ASKS_READ, ASKS_WRITE, countWalk, Found, newTrail, walk, WALK_OK } from './walk';
import { dropWalked, keepWalked, walkedFrame, walkedLow } from './walked';

const found: Found = changetype<Found>(memory.data(offsetof<Found>()));

/** Whether the second level has what the first lacks; the first has it then. */
export function refill(who: Agent, cpu: CpuCaches, first: Cache, page: u32, want: u32, mask: u32): bool {
  const second = cpu.l2;
  if (!second.mayHold(page) || find(first, page) != 0) return false;
  const at = lookup(second, second.set(page), want, mask);
  if (at == 0) return false;
  bump(N_L2_HIT);
  fillCpu(first, page, load<u32>(at), load<u32>(at, 4), who.clock);
  spend(who, CAUSE_L2, cost(COST_L2_HIT));
  return true;
}

// What became of it.
export const IS_SERVED: u32 = 0; //   the access has its translation
export const HAS_FAULTED: u32 = 1; // a list runs; the CPU then looks again
export const MUST_WAIT: u32 = 2; //   the agent is blocked; it looks again when it wakes
export const HAS_WALKED: u32 = 3; //  split walks only: `fillWalked` ends the access

/** Serves a miss of `first` (the L1 of fetches or of data) and of the second level. A shared step of the CPU. */
export function serve(who: Agent, cpu: CpuCaches, first: Cache, page: u32, write: u32): u32 {
  const now = who.clock;
  if (isStale(first, page, write) || isStale(cpu.l2, page, write)) {
    bump(N_CPU_STALE);
    const late = isLate(page, write != 0);
    if (late) bump(N_CPU_LATE);
    note(LOG_ACCESS, who.id, late ? BY_LATE : BY_STALE, write, page + 1, now);
    return IS_SERVED;
  }
  const flags = pte(page);
  const allowed = isInReach(flags) && (write == 0 || (flags & PTE_W) != 0);
  if (!allowed) {
    // The program knows better what it may write than the mappings that its recording shows.
    if (write != 0) setReadOnly(page, 0);
    return beginFault(who, page, write != 0) ? HAS_FAULTED : MUST_WAIT;
  }
  bump(N_L2_MISS);
  note(LOG_ACCESS, who.id, BY_WALK, write, page + 1, now);
  newTrail();
  const status = walk(cpu.stage, aim(cpu.stage, page), ASKS_AS_USER | (write != 0 ? ASKS_WRITE : ASKS_READ), found);
  assert(status == WALK_OK && <u32>(found.address >> 12) == frameOf(page));
  spend(who, CAUSE_WALK, cost(COST_WALK_LEAF) + cost(COST_WALK_UPPER) * (countWalk() - 1));
  const next = flags | PTE_A | (write != 0 ? PTE_D : 0);
  if (next != flags) {
    setPte(page, next);
    recheck(page, now);
  }
  if (setting(SET_SPLIT_WALKS) != 0) {
    keepWalked(who.id, entryOf(page), frameOf(page));
    return HAS_WALKED;
  }
  if (noteUser(page, who.id)) oblige(page, now, OWES_NOTHING, canReach(page));
  fillBoth(cpu, first, page, entryOf(page), frameOf(page), now);
  return IS_SERVED;
}
function fillBoth(cpu: CpuCaches, first: Cache, page: u32, low: u32, frame: u32, now: u64): void {
  fillCpu(cpu.l2, page, low, frame, now);
  fillCpu(first, page, low, frame, now);
}

/**
 * Fills the TLBs with what the CPU's walk has read, by which the access is served, even if the PTE has changed since. False if a
 * flush has come in between, so that the access begins anew.
 */
export function fillWalked(who: Agent, cpu: CpuCaches, first: Cache, page: u32, write: u32): bool {
  const now = who.clock;
  const low = walkedLow(who.id);
  const frame = walkedFrame(who.id);
  dropWalked(who.id);
  const fresh = agrees(page, frame, (low & ENTRY_W) != 0);
  if (low == 0 || (!fresh && setting(SET_IDEAL) != 0)) return false;
  note(LOG_ACCESS, who.id, fresh ? BY_FILL : BY_STALE, write, page + 1, now);
  if (!fresh) bump(N_CPU_STALE);
  else if (noteUser(page, who.id)) oblige(page, now, OWES_NOTHING, canReach(page));
  fillBoth(cpu, first, page, fresh ? low : low | ENTRY_STALE, frame, now);
  return true;
}

/** Whether the cache has an entry of the page whose PTE has changed, and that allows the access. */
function isStale(cache: Cache, page: u32, write: u32): bool {
  const at = find(cache, page);
  if (at == 0) return false;
  const low = load<u32>(at);
  return (low & ENTRY_STALE) != 0 && (write == 0 || (low & ENTRY_W) != 0);
}

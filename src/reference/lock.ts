import type { Agent } from './agent.ts';
import type { Cause, Counts } from './counts.ts';

/**
 * A page-table lock, the invalidation queue's, those of a domain's IOVA tree and cache tags, or the walkers of the IOMMU, which are
 * hardware: passing one on is free and tells nothing.
 */
export type LockKind = 'page table' | 'queue' | 'iova tree' | 'cache tags' | 'walkers';

const WAITS: Record<LockKind, Cause> = {
  'page table': 'lock_wait',
  queue: 'queue_wait',
  'iova tree': 'lock_wait',
  'cache tags': 'lock_wait',
  walkers: 'device_walk',
};

/** First come, first served. */
export class Lock {
  private readonly waiters: Agent[] = [];
  private readonly since = new Map<Agent, number>();
  private known: number[] = [];

  constructor(
    readonly kind: LockKind,
    private free: number,
    private readonly handoffPs: number,
    private readonly counts: Counts,
  ) {}

  /** Takes it; or blocks, and the agent has it when it wakes. */
  take(agent: Agent): boolean {
    if (this.free > 0) {
      this.free--;
      this.own(agent);
      return true;
    }
    this.waiters.push(agent);
    agent.block(WAITS[this.kind]);
    this.counts.reach(`wait for ${this.kind}`);
    if (this.kind !== 'walkers') this.counts.add('LOCK_WAITS');
    return false;
  }

  give(agent: Agent): void {
    const since = this.since.get(agent);
    if (since === undefined) throw new Error(`agent ${agent.id} gives up a ${this.kind} lock that it does not have`);
    this.since.delete(agent);
    if (this.kind === 'page table') this.counts.lasted('lockHold', agent.clock - since);
    if (this.kind !== 'walkers') this.known = agent.tell();
    const next = this.waiters.shift();
    if (next === undefined) {
      this.free++;
      return;
    }
    const waited = next.wake(agent.clock);
    if (this.kind === 'page table') this.counts.add('LOCK_WAIT_PS', waited);
    if (this.kind === 'queue') this.counts.add('QUEUE_WAIT_PS', waited);
    if (this.kind === 'iova tree') this.counts.add('IOVA_WAIT_PS', waited);
    if (this.kind !== 'walkers') next.spend(WAITS[this.kind], this.handoffPs);
    this.own(next);
  }

  private own(agent: Agent): void {
    this.since.set(agent, agent.clock);
    agent.hear(this.known);
  }
}

import type { LazyUnmap } from '../model/policy.ts';
import type { Agent, Turns } from './agent.ts';
import type { Counts } from './counts.ts';
import { type Domains, domainSpan } from './dma-domain.ts';
import type { IovaAllocator } from './dma-iova.ts';
import type { Price, Queue } from './queue.ts';

const PS_PER_MS = 1e9;
const PS_PER_S = 1e12;

/** An unmap that waits for a flush. */
interface Entry {
  /** Flushes that had begun when it came. */
  readonly begun: number;
  readonly page: number;
  readonly pages: number;
  readonly iovas: IovaAllocator;
}

/**
 * The flush queue of one domain, or of all: a ring per CPU or one, and a timer (Linux 6.1 drivers/iommu/dma-iommu.c queue_iova,
 * fq_flush_timeout). IOVAs are free once a flush is complete that began after they came.
 */
export class FlushQueue {
  private readonly rings: Entry[][];
  private begun = 0;
  private complete = 0;
  /** When the timer fires, and on which CPU it was armed. */
  private fire: { readonly at: number; readonly cpu: number } | null = null;
  private resting = true;

  constructor(
    private readonly policy: LazyUnmap,
    private readonly hz: number,
    /** Domains that it is for. */
    private readonly spaces: readonly number[],
    cpus: number,
    private readonly timer: Agent,
    private readonly domains: Domains,
    private readonly queue: Queue,
    private readonly price: Price,
    private readonly counts: Counts,
    /** IOVAs are free as soon as they are queued: a hazard. */
    private readonly early: boolean,
  ) {
    this.rings = Array.from({ length: cpus }, () => []);
    timer.block('idle');
  }

  /** Puts the IOVA of an unmap on the CPU's ring. A full one is flushed first; one slot stays empty. */
  *put(agent: Agent, cpu: number, iovas: IovaAllocator, page: number, pages: number): Turns {
    const ring = this.rings[this.policy.queues === 'single' ? 0 : cpu]!;
    const usable = Math.max(2, this.policy.queueSize) - 1;
    this.reclaim(agent, cpu, ring);
    while (ring.length === usable) {
      this.counts.add('QUEUE_FULL');
      this.counts.path('unmap').invalidations++;
      const flush = this.begin();
      yield;
      yield* this.flush(agent, flush);
      if (this.policy.flush === 'global') this.reclaimAll(agent, cpu);
      yield;
      this.reclaim(agent, cpu, ring);
    }
    ring.push({ begun: this.begun, page, pages, iovas });
    this.counts.add('QUEUED');
    agent.spend('flush_queue', this.price('fq.enqueue'));
    if (this.early) iovas.free(agent, cpu, page, pages);
    this.arm(agent.clock, cpu);
  }

  /** What a flush that begins now covers. */
  private begin(): number {
    this.begun++;
    return this.domains.lastUnmap;
  }

  private *flush(agent: Agent, covers: number): Turns {
    if (this.begun > this.complete + 1) this.counts.reach('two flushes of a domain at once');
    const global = this.policy.flush === 'global';
    for (const space of global ? this.spaces.slice(0, 1) : this.spaces)
      yield* this.queue.invalidate(agent, domainSpan(space));
    if (this.spaces.length > 1) this.counts.reach(`flush: ${this.policy.flush}`);
    this.complete++;
    for (const space of this.spaces) this.domains.flushed(space, covers);
  }

  /** Frees what is old enough, oldest first, into the magazines of the CPU that does it. */
  private reclaim(agent: Agent, cpu: number, ring: Entry[]): void {
    while (ring.length > 0 && ring[0]!.begun < this.complete) {
      const { page, pages, iovas } = ring.shift()!;
      if (!this.early) iovas.free(agent, cpu, page, pages);
    }
  }

  private reclaimAll(agent: Agent, cpu: number): void {
    for (const ring of this.rings) this.reclaim(agent, cpu, ring);
  }

  /** The time-out is rounded up to ticks, and the tick under way does not count. */
  private arm(now: number, cpu: number): void {
    if (this.fire !== null) return;
    const tick = Math.round(PS_PER_S / this.hz);
    const ticks = Math.floor(now / tick) + Math.ceil(Math.round(this.policy.timeoutMs * PS_PER_MS) / tick) + 1;
    this.fire = { at: ticks * tick, cpu };
    if (this.resting) this.rest();
    else this.counts.reach('timer armed while it flushes');
  }

  private rest(): void {
    this.resting = this.fire === null;
    if (this.fire !== null) this.timer.wake(this.fire.at);
  }

  /** The timer, from its first firing on. */
  *life(): Turns {
    const { timer } = this;
    while (true) {
      const { cpu } = this.fire!;
      this.fire = null;
      this.counts.add('QUEUE_TIMER');
      yield* this.flush(timer, this.begin());
      this.reclaimAll(timer, cpu);
      timer.block('idle');
      this.rest();
      yield;
    }
  }
}

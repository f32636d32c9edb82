import type { Iommu } from '../model/machine.ts';
import type { Agent, Turns } from './agent.ts';
import type { Counts } from './counts.ts';
import { type Domains, domainSpan } from './dma-domain.ts';
import type { FlushQueue } from './dma-flushqueue.ts';
import type { IovaAllocator } from './dma-iova.ts';
import type { DmaRecord, Mapping } from './dma-recording.ts';
import type { Lock } from './lock.ts';
import type { Price, Queue } from './queue.ts';
import { covering } from './span.ts';

/** How an unmap ends its translations. `vanish`: they are gone by themselves. */
export type UnmapMode = 'strict' | 'lazy' | 'never' | 'vanish';

/** What the IOVAs of one domain need. */
export interface DomainParts {
  readonly iovas: IovaAllocator;
  /** Of the allocator's tree. */
  readonly lock: Lock;
  readonly flushQueue: FlushQueue | null;
}

/** Who waits for mappings and accesses. */
export interface Waiters {
  /** The mapping is there, or its unmap has begun. */
  mapping(mapping: Mapping, now: number): void;
  /** An unmap may go on. */
  unmaps(now: number): void;
}

/** One CPU that calls the DMA API. */
export class Driver {
  private waits: { readonly mappings: readonly Mapping[]; readonly accesses: number } | null = null;

  constructor(
    readonly agent: Agent,
    private readonly records: readonly DmaRecord[],
    private readonly mode: UnmapMode,
    private readonly iommu: Iommu,
    /** Maps are followed by an invalidation. */
    private readonly flushesMaps: boolean,
    private readonly parts: readonly DomainParts[],
    private readonly domains: Domains,
    private readonly queue: Queue,
    private readonly waiters: Waiters,
    private readonly price: Price,
    private readonly counts: Counts,
  ) {}

  *life(): Turns {
    const { agent } = this;
    for (const record of this.records) {
      agent.spend('idle', record.think);
      yield;
      if (record.kind === 'map') yield* this.map(record.mapping, record.number);
      else if (record.kind === 'unmap') yield* this.unmap(record.mappings, record.accesses);
      yield;
    }
    agent.state = 'done';
  }

  // ---- map ----

  private *map(mapping: Mapping, record: number): Turns {
    const { agent, domains } = this;
    const began = agent.clock;
    if (this.mode === 'never') domains.lend(mapping);
    else {
      if (mapping.before === null) mapping.page = domainSpan(mapping.space).first + (yield* this.allocate(mapping));
      else mapping.page = mapping.before.page + mapping.before.pages;
      yield;
      const { entries, replaces } = domains.map(mapping, agent.turn, record);
      agent.spend('pte', this.price('io_pte.map_call') + this.price('io_pte.map_page') * (entries - 1));
      if (replaces) yield* this.forgetTables(mapping);
      yield* this.flushMap(mapping);
    }
    yield;
    mapping.state = 'mapped';
    this.finish('map', began, mapping.pages);
    this.waiters.mapping(mapping, agent.clock);
    this.waiters.unmaps(agent.clock);
  }

  /** An IOVA: from a magazine, or from the tree under its lock. */
  private *allocate({ space, allocation }: Mapping): Turns<number> {
    const { agent } = this;
    const { iovas, lock } = this.parts[space]!;
    agent.spend('iova', this.price('iova.alloc'));
    const kept = iovas.fromMagazine(agent.id, allocation);
    if (kept !== null) return kept;
    yield;
    lock.take(agent);
    yield;
    const page = iovas.fromTree(allocation);
    agent.spend('iova', this.price('iova.alloc_slow'));
    yield;
    lock.give(agent);
    return page;
  }

  /** With caching mode the IOMMU may hold that nothing was there. A scatter list is invalidated when all of it is mapped. */
  private *flushMap(mapping: Mapping): Turns {
    if (this.mode === 'vanish' || !this.flushesMaps) return;
    let head = mapping;
    while (head.before !== null) head = head.before;
    if (mapping.page + mapping.pages < head.page + head.allocation) return;
    yield;
    yield* this.invalidate('map', mapping.space, head.page, head.allocation, false, true);
  }

  /** Leaves stand where tables were, to which walk caches may lead: AMD's driver invalidates the domain. */
  private *forgetTables({ space, page, pages }: Mapping): Turns {
    if (this.mode === 'vanish') {
      this.queue.dropTables({ first: page, last: page + pages - 1 });
      return;
    }
    yield;
    yield* this.invalidate('map', space, page, pages, this.iommu.commands === 'amd');
  }

  private finish(path: 'map' | 'unmap', began: number, pages: number): void {
    const sums = this.counts.path(path);
    sums.count++;
    sums.pages += pages;
    sums.ps += this.agent.clock - began;
  }

  // ---- unmap ----

  /** Whether all that it ends is mapped, by whichever CPU, and the accesses that it waits for are over. */
  private static ready(mappings: readonly Mapping[], accesses: number): boolean {
    const over = mappings.reduce((sum, mapping) => sum + mapping.over, 0);
    return mappings.every(({ state }) => state !== 'to come') && over >= accesses;
  }

  /** Something that it may wait for has happened. */
  rouse(now: number): void {
    if (this.waits === null || !Driver.ready(this.waits.mappings, this.waits.accesses)) return;
    this.waits = null;
    this.agent.wake(now);
  }

  private *unmap(mappings: readonly Mapping[], accesses: number): Turns {
    const { agent, domains, mode } = this;
    if (!Driver.ready(mappings, accesses)) {
      this.counts.reach('unmap waits');
      this.waits = { mappings, accesses };
      agent.block('idle');
      yield;
    }
    const began = agent.clock;
    let entries = 0;
    const pages = mappings.reduce((sum, mapping) => sum + mapping.pages, 0);
    if (mappings.length > 1) this.counts.reach('scatter list unmapped');
    for (const mapping of mappings) {
      mapping.began = began;
      mapping.state = 'ending';
      if (mode === 'never') domains.keep(mapping);
      else entries += domains.unmap(mapping, agent.turn);
      this.waiters.mapping(mapping, agent.clock);
    }
    if (mode !== 'never') {
      agent.spend('pte', this.price('io_pte.unmap_call') + this.price('io_pte.unmap_page') * (entries - 1));
      yield;
      yield* this.release(mappings, pages);
    }
    yield;
    for (const mapping of mappings) {
      if (mode === 'never') domains.takeBack(mapping);
      else domains.handBack(mapping, agent.turn);
    }
    this.finish('unmap', began, pages);
  }

  /** Strict: invalidates, then frees the IOVA. Lazy: leaves both to the flush queue. */
  private *release(mappings: readonly Mapping[], pages: number): Turns {
    const { agent, mode } = this;
    const { space, page, allocation } = mappings[0]!;
    const { iovas, flushQueue } = this.parts[space]!;
    const number = page - domainSpan(space).first;
    if (mode === 'lazy') {
      yield* flushQueue!.put(agent, agent.id, iovas, number, allocation);
      return;
    }
    if (mode === 'strict') {
      yield* this.invalidate('unmap', space, page, pages);
      for (const mapping of mappings) this.domains.covered(mapping);
      yield;
    }
    iovas.free(agent, agent.id, number, allocation);
  }

  /** A range that is too wide for one command takes the domain. */
  private *invalidate(
    path: 'map' | 'unmap',
    space: number,
    page: number,
    pages: number,
    whole = false,
    asMap = false,
  ): Turns {
    const span = { first: page, last: page + pages - 1 };
    const block = covering(span);
    const tooWide = block.last - block.first + 1 > 2 ** this.iommu.maxAm;
    if (tooWide) this.counts.reach('range too wide for a command');
    this.counts.path(path).invalidations++;
    const all = whole || tooWide;
    yield* this.queue.invalidate(this.agent, all ? domainSpan(space) : span, asMap && !all ? 'map' : 'all');
  }
}

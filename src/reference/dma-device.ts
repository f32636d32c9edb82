import type { Reuse } from '../model/dma.ts';
import type { Agent, Turns } from './agent.ts';
import type { Counts } from './counts.ts';
import type { Domains } from './dma-domain.ts';
import type { Waiters } from './dma-driver.ts';
import type { DmaAccess, DmaRecord, Mapping } from './dma-recording.ts';
import type { Price, Queue } from './queue.ts';
import type { Safety } from './safety.ts';
import type { Flight } from './secondary.ts';
import { isStale } from './space.ts';
import type { Translator } from './translation.ts';

/** A place in flight, and who uses it. */
export interface Place {
  readonly agent: Agent;
  readonly flight: Flight;
  /** Access under way, with its record's number. */
  access: (DmaAccess & { readonly number: number }) | null;
  issued: number;
}

/** One device of a recording: issues its accesses in program order, a few in flight at a time. */
export class DmaDevice {
  /** Mapping that the next access waits for. */
  private waitsFor: Mapping | null = null;
  private waitsForPlace = false;

  constructor(
    readonly agent: Agent,
    private readonly records: readonly DmaRecord[],
    readonly places: readonly Place[],
    private readonly translated: boolean,
    private readonly ideal: boolean,
    private readonly reuse: Reuse,
    private readonly translator: Translator,
    private readonly domains: Domains,
    private readonly queue: Queue,
    private readonly safety: Safety,
    private readonly waiters: Waiters,
    private readonly price: Price,
    private readonly counts: Counts,
  ) {
    for (const place of places) place.agent.block('idle');
  }

  *life(): Turns {
    const { agent } = this;
    for (const record of this.records) {
      const anchored = record.kind === 'access' && record.after !== null;
      if (!anchored) agent.spend('idle', record.think);
      yield;
      if (record.kind === 'raw') this.raw();
      else if (record.kind === 'access') yield* this.issue(record);
      yield;
    }
    agent.state = 'done';
  }

  /** Nothing is mapped there; without translation it is memory. */
  private raw(): void {
    this.counts.add('DMA');
    if (this.translated) this.counts.add('DEVICE_FAULTS');
  }

  private *issue(record: DmaAccess & { readonly number: number }): Turns {
    const { agent } = this;
    const { mapping, after } = record;
    const due = (): boolean => mapping.state !== 'to come' && (after === null || mapping.state !== 'mapped');
    while (!due()) {
      this.waitsFor = mapping;
      agent.block('idle');
      yield;
    }
    // One that came after its unmap stands at the same distance from it, whatever the unmap takes.
    if (after !== null) agent.spend('idle', Math.max(0, mapping.began + after - agent.clock));
    yield;
    let place: Place | undefined;
    while (true) {
      place = this.places.find(({ access }) => access === null);
      if (place !== undefined) break;
      this.counts.reach('no place in flight');
      this.waitsForPlace = true;
      agent.block('idle');
      yield;
    }
    place.access = record;
    place.issued = agent.clock;
    place.agent.wake(agent.clock);
    this.counts.add('DMA');
    if (!this.translated) place.agent.spend('device', this.price('device.dma_latency'));
  }

  /** The mapping is there, or its unmap has begun. */
  rouse(mapping: Mapping, now: number): void {
    if (this.waitsFor !== mapping) return;
    this.waitsFor = null;
    this.agent.wake(now);
  }

  // ---- accesses in flight ----

  /** A place in flight: one access after the other. */
  *place(place: Place): Turns {
    while (true) {
      if (this.translated) yield* this.access(place);
      else this.landDirectly(place);
      const { agent, access } = place;
      place.access = null;
      agent.block('idle');
      if (access!.after === null) access!.mapping.over++;
      if (this.waitsForPlace) {
        this.waitsForPlace = false;
        this.agent.wake(agent.clock);
      }
      this.waiters.unmaps(agent.clock);
      yield;
    }
  }

  private *access({ agent, flight, access, issued }: Place): Turns {
    const { mapping, page: index, write, after, number } = access!;
    const page = this.domains.page(mapping, index);
    flight.page = page;
    if (yield* this.translator.translate(agent, flight, page, mapping.page + index, write, null)) {
      flight.arrived = true;
      this.counts.add('DEVICE_STALL_PS', agent.clock - issued);
      agent.spend('device', this.price('device.dma_latency'));
      yield;
      const copy = flight.copy!;
      this.safety.land(copy, page, write, agent, number);
      // Its own mapping is ended, so that a translation that holds is another one's, which has the IOVA now.
      if (after !== null && (this.ideal || !isStale(copy))) this.counts.add('MISDIRECTED');
    } else this.counts.add('DEVICE_FAULTS');
    Object.assign(flight, { page: null, copy: null, arrived: false, squashed: { iotlb: false, deviceTlb: false } });
    this.queue.landed(flight, agent.clock);
  }

  /** Lands where it was told to: in a frame that may have been handed back long since. */
  private landDirectly({ agent, access }: Place): void {
    const { mapping, page, write, number } = access!;
    if (mapping.state !== 'returned') return;
    if (!this.domains.isFreed(mapping, page)) this.counts.add('SHARED');
    else if (this.reuse === 'immediate') {
      this.counts.add(write ? 'S1_WRITE' : 'S1_READ');
      const at = agent.clock;
      const frame = this.domains.frame(mapping, page).number;
      this.counts.first ??= { property: 1, page: frame, changed: at, at, agent: agent.id, record: number };
    } else this.counts.reach('frame handed back, and kept');
  }
}

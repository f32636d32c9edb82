import { type Follow, LATE_RECORDS, LATE_SHARE } from '../model/run.ts';
import type { Agent, Turns } from './agent.ts';
import type { Listener } from './consumer.ts';
import type { Counts } from './counts.ts';
import type { Faults } from './fault.ts';
import type { Page } from './page.ts';
import type { PageRequests } from './page-request.ts';
import type { Price, Queue } from './queue.ts';
import type { Recent } from './recent.ts';
import type { Safety } from './safety.ts';
import type { Flight, Secondary } from './secondary.ts';
import { allows, isForbidden, type Translator } from './translation.ts';

/** Work that a CPU has posted. */
interface Post {
  readonly page: Page;
  readonly write: boolean;
  /** What the poster knew. */
  readonly known: readonly number[];
}

/** A device: takes work in order, a few accesses in flight at a time; active and idle by turns. */
export class Device {
  private readonly posts: Post[] = [];
  private phase: 'start' | 'active' | 'idle' = 'start';
  private phaseEnds = 0;
  /** When it went to sleep until the end of its active phase. */
  private nap: number | null = null;
  private issued = 0;
  private late = 0;
  private random: number;
  /** Pages that it has worked on. */
  private readonly worked = new Set<Page>();

  constructor(
    private readonly follow: Follow | null,
    seed: number,
    private readonly translator: Translator,
    /** It works on though it is idle. */
    private readonly restless: boolean,
    private readonly agent: Agent,
    /** Which of those behind its IOMMU it is. */
    private readonly number: number,
    private readonly flyers: readonly Agent[],
    private readonly recent: Recent,
    private readonly side: Secondary,
    private readonly queue: Queue,
    private readonly listener: Listener,
    private readonly safety: Safety,
    private readonly faults: Faults,
    /** Where page requests have a queue. */
    private readonly pageRequests: PageRequests | null,
    private readonly price: Price,
    private readonly counts: Counts,
  ) {
    this.random = (Math.imul(seed, 0x9e3779b1) | 1) >>> 0;
  }

  // ---- work ----

  post(page: Page, write: boolean, from: Agent): void {
    this.posts.push({ page, write, known: from.tell() });
    this.rouse(from.clock);
  }

  /** There may be something to do. */
  rouse(now: number): void {
    if (this.follow === null) return;
    if (this.agent.state === 'blocked') this.agent.wake(now);
    else if (this.nap !== null) {
      // It slept until the end of its active phase; there may be work before.
      this.agent.spend('idle', Math.max(this.nap, now) - this.agent.clock);
      this.nap = null;
    }
  }

  /** One turn of the issuer. */
  turn(): void {
    const { agent, follow } = this;
    this.nap = null;
    const rested = this.phase === 'idle' && (!this.restless || agent.clock >= this.phaseEnds);
    if (this.phase === 'start' || rested) {
      this.phase = 'active';
      this.phaseEnds = agent.clock + this.exponential(follow!.active);
      if (this.queue.activate()) agent.spend('activate', this.price('deferral.activate'));
      return;
    }
    const phases = follow!.idle !== 0;
    const places = this.flyers.length;
    if (phases && this.phase === 'active' && agent.clock >= this.phaseEnds) {
      if (this.flying > 0 && !this.restless) {
        agent.block('idle');
        return;
      }
      this.queue.deactivate(this.number);
      this.phase = 'idle';
      const idle = this.exponential(follow!.idle);
      if (this.restless) this.phaseEnds = agent.clock + idle;
      else agent.spend('idle', idle);
      return;
    }
    const place = this.flyers.findIndex((flyer) => flyer.state === 'blocked' && flyer.waitsFor === 'idle');
    if (place < 0) {
      agent.block('idle');
      return;
    }
    const work = this.next(places);
    if (work !== undefined) {
      if (this.phase === 'idle') this.counts.reach('access while idle');
      this.launch(place, work.page, work.write);
      agent.spend('device', this.price('device.think'));
    } else if (!phases) agent.block('idle');
    else {
      this.nap = agent.clock;
      agent.spend('idle', Math.max(0, this.phaseEnds - agent.clock));
    }
  }

  /** A late access where the share asks for one and there is a page for it, else what was posted first. */
  private next(places: number): { page: Page; write: boolean } | undefined {
    if (this.late * 1000 < this.issued * LATE_SHARE) {
      const page = this.recent.take(this.worked, LATE_RECORDS);
      if (page !== null) {
        this.issued++;
        this.counts.add('DMA_LATE');
        return { page, write: this.late++ % 2 === 1 };
      }
    }
    // A quarter of the places is kept for what comes late.
    if (this.flying >= places - Math.floor(places / 4)) return undefined;
    const post = this.posts.shift();
    if (post === undefined) return undefined;
    this.agent.hear(post.known);
    this.issued++;
    this.worked.add(post.page);
    return post;
  }

  /** Accesses in flight. */
  private get flying(): number {
    return this.flyers.filter((flyer) => !(flyer.state === 'blocked' && flyer.waitsFor === 'idle')).length;
  }

  /** xorshift32 (Marsaglia 2003); of its top 8 bits, a quantile of the exponential distribution. */
  private exponential(mean: number): number {
    let x = this.random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.random = x >>> 0;
    const quantile = Math.round(-Math.log(((this.random >>> 24) + 0.5) / 256) * 65536);
    return Number((BigInt(mean) * BigInt(quantile)) >> 16n);
  }

  // ---- accesses in flight ----

  private readonly requests = new Map<number, { page: Page; write: boolean; issued: number }>();

  private launch(place: number, page: Page, write: boolean): void {
    const flyer = this.flyers[place]!;
    this.requests.set(place, { page, write, issued: this.agent.clock });
    flyer.wake(this.agent.clock);
    flyer.hear(this.agent.heard);
    this.counts.add('DMA');
  }

  /** A place in flight: one access after the other. */
  *place(place: number): Turns {
    const agent = this.flyers[place]!;
    const flight = this.side.flights.filter(({ device }) => device === this.number)[place]!;
    while (true) {
      const { page, write, issued } = this.requests.get(place)!;
      flight.page = page;
      page.touched = true;
      const request = () => this.request(place, agent, flight, page, write);
      if (yield* this.translator.translate(agent, flight, page, page.vpn, write, request)) {
        flight.arrived = true;
        this.counts.add('DEVICE_STALL_PS', agent.clock - issued);
        agent.spend('device', this.price('device.dma_latency'));
        yield;
        this.safety.land(flight.copy!, page, write, agent, this.recent.record);
      } else this.counts.add('DEVICE_FAULTS');
      Object.assign(flight, { page: null, copy: null, arrived: false, squashed: { iotlb: false, deviceTlb: false } });
      this.pageRequests?.forget(this.placeOf(place));
      this.queue.landed(flight, agent.clock);
      this.resting = agent;
      agent.block('idle');
      yield;
    }
  }

  /** The flyer whose access is over in this turn. */
  private resting: Agent | null = null;

  /** After a turn of a flyer: a place may be free again. */
  afterFlight(flyer: Agent): void {
    if (this.resting === flyer) this.rouse(flyer.clock);
    this.resting = null;
    this.pageRequests?.settle(this.number, flyer.turn);
  }

  /** Number of one of its places among those of all devices behind the IOMMU. */
  private placeOf(place: number): number {
    return this.number * this.flyers.length + place;
  }

  /** The page is not there, or not writable. False: nor may it be. */
  private *request(place: number, agent: Agent, flight: Flight, page: Page, write: boolean): Turns<boolean> {
    const { listener, pageRequests } = this;
    if (pageRequests !== null) {
      if (!(yield* pageRequests.ask(this.placeOf(place), page, write))) return false;
      yield* this.askAnew(flight);
      return true;
    }
    const forbidden = (): boolean => isForbidden(this.side, page, write);
    if (forbidden()) return false;
    this.counts.add('PAGE_REQUESTS');
    agent.spend('page_request', this.price('device.page_request'));
    yield;
    while (true) {
      if (forbidden()) {
        this.counts.reach('page gone while it was asked for');
        return false;
      }
      if (listener.waits(agent, page)) {
        yield;
        continue;
      }
      if (!listener.hasOwnTable) {
        if (allows(page, write) || (yield* this.faults.handle(agent, page, write))) break;
        continue;
      }
      if (allows(page, write)) {
        listener.read(agent, flight, page, write);
        yield;
        if (listener.install(flight)) break;
        yield;
      } else if (yield* this.faults.handle(agent, page, write)) yield;
    }
    yield* this.askAnew(flight);
    return true;
  }

  /** A new translation request goes out. */
  private *askAnew(flight: Flight): Turns {
    flight.squashed.deviceTlb = false;
    yield;
  }
}

import type { CostKey } from '../model/cost.ts';
import { type HazardName, INVALIDATION_TIMEOUT, LOST_EVERY, MALFORMED_EVERY, REPEATED_EVERY } from '../model/hazard.ts';
import type { Machine } from '../model/machine.ts';
import type { Agent, Turns } from './agent.ts';
import type { Listener } from './consumer.ts';
import type { Counter, Counts } from './counts.ts';
import { Link } from './link.ts';
import { Lock } from './lock.ts';
import { meets } from './page.ts';
import type { ResponseCode } from './page-request.ts';
import type { Flight, Secondary } from './secondary.ts';
import { EVERYTHING, type Span } from './span.ts';
import { type Asked, type Attachments, type Entry, FRESH, Submissions } from './submission.ts';

/** Prices in picoseconds. */
export type Price = (key: CostKey) => number;

const IOTLB_COUNTER: Partial<Record<Entry['word'], Counter>> = {
  'iotlb.pasid': 'IOTLB_PASID',
  'iotlb.domain': 'IOTLB_DOMAIN',
  'iotlb.global': 'IOTLB_GLOBAL',
};

const IOTLB_PRICE: Partial<Record<Entry['word'], CostKey>> = {
  'iotlb.page': 'iotlb.inv_page',
  'iotlb.range': 'iotlb.inv_page',
  'iotlb.pasid': 'iotlb.inv_pasid',
  'iotlb.domain': 'iotlb.inv_domain',
  'iotlb.global': 'iotlb.inv_global',
};

/** A wait that has been fetched and is not complete. */
interface Wait {
  readonly number: number;
  readonly entry: Entry;
}

/** The invalidation queue: the driver that writes commands, the IOMMU that carries them out, and the deferral before both. */
export class Queue {
  private readonly lock: Lock;
  /** Of the cache tags of each domain, by its first page. */
  private readonly domainLocks = new Map<number, Lock>();
  /** Commands that the driver counts as in the ring: slots of AMD are free when fetched, of VT-d when their wait is seen. */
  private occupied: Entry[] = [];
  private readonly fetched = new Set<Entry>();
  private readonly seen = new Set<Entry>();
  private readonly submitted: Entry[] = [];
  private readonly waits: Wait[] = [];
  private number = 0;
  private inHand: { readonly entry: Entry; readonly number: number } | null = null;
  private completing = false;
  private stalled = false;
  /** Nothing is fetched until a driver has seen that a device did not answer. */
  private error = false;
  /** Nothing is fetched until a driver has put something else in place of the first command. */
  private refused = false;
  private written = 0;
  private roomless: Agent[] = [];
  private readonly link: Link;
  private readonly submissions: Submissions;
  /** How many times the device is active in the space, and whether an invalidation waits for that. */
  private active = 0;
  private pending = false;

  constructor(
    private readonly machine: Machine,
    private readonly ats: boolean,
    private readonly price: Price,
    private readonly side: Secondary,
    readonly hardware: Agent,
    linkAgent: Agent,
    private readonly attached: Attachments,
    private readonly counts: Counts,
    /** Whose queue it is. Null: the DMA API's. */
    private readonly listener: Listener | null = null,
  ) {
    this.submissions = new Submissions(machine, ats, attached, counts);
    this.lock = new Lock('queue', 1, price('ptl.handoff'), counts);
    const way = Math.floor(price('device_tlb.inv') / 2);
    const faults = {
      loses: this.has('lost-invalidation') ? LOST_EVERY : 0,
      patience: INVALIDATION_TIMEOUT,
      repeats: this.has('answered-twice') ? REPEATED_EVERY : 0,
      answersEarly: this.has('completion-before-posted-writes'),
      overtaken: this.has('overtaking-completion'),
    };
    this.link = new Link(linkAgent, way, faults, side, counts, (now) => this.rouse(now));
  }

  /** Who hears of responses to page requests. */
  onResponse: (index: number, code: ResponseCode, now: number) => void = () => {};

  private has(hazard: HazardName): boolean {
    return this.machine.hazards.includes(hazard);
  }

  private get amd(): boolean {
    return this.machine.iommu.commands === 'amd';
  }

  // ---- the driver ----

  /** Its lock while somebody polls. A table of the consumer's own is emptied and flushed in one hold. */
  private get polls(): Machine['driver']['poll'] {
    return this.listener?.hasOwnTable === true ? 'held' : this.machine.driver.poll;
  }

  /** One invalidation of the secondary MMU, from the call to its return: of what has just been mapped, or of IOTLBs alone. */
  *invalidate(agent: Agent, span: Span, of: Asked = 'all', frees = false): Turns {
    this.counts.add('SECONDARY');
    if (this.machine.driver.deferral && this.active === 0 && !this.pending && !this.side.released) {
      if (this.has('read-then-set')) {
        agent.spend('defer', this.price('deferral.mark'));
        yield;
        if (this.active > 0) this.counts.reach('marked though active');
        this.pending = true;
        this.counts.add('DEFERRED');
        return;
      }
      this.pending = true;
      this.counts.add('DEFERRED');
      agent.spend('defer', this.price('deferral.mark'));
      return;
    }
    if (this.machine.driver.deferral && this.active === 0) this.counts.reach('idle, but marked already');
    const groups = this.submissions.groups(agent, span, of, frees);
    if (groups.length === 0) return;
    const domain = this.domainLock(span);
    if (domain !== null && !domain.take(agent)) yield;
    yield* this.submit(agent, span, groups);
    domain?.give(agent);
  }

  private domainLock({ first }: Span): Lock | null {
    if (!this.machine.driver.domainLock) return null;
    const { first: domain } = this.attached.spaceOf(first);
    const lock = this.domainLocks.get(domain) ?? new Lock('cache tags', 1, this.price('ptl.handoff'), this.counts);
    this.domainLocks.set(domain, lock);
    return lock;
  }

  /** A group of page requests is answered, by a command that AMD's driver does not wait for. */
  *respond(agent: Agent, index: number, code: ResponseCode): Turns {
    const common = { first: 0, last: 0, device: null, sparesTables: false, ...FRESH };
    const response: Entry = { ...common, word: 'page_response', caller: null, response: { index, code } };
    const wait: Entry = { ...common, word: 'wait', caller: agent };
    yield* this.submit(
      agent,
      { first: 0, last: 0, whole: false },
      [this.amd ? [response] : [response, wait]],
      !this.amd && this.polls === 'held',
    );
  }

  private *submit(agent: Agent, span: Span, groups: readonly Entry[][], held = this.polls === 'held'): Turns {
    const own = this.listener?.hasOwnTable === true;
    if (own) {
      if (!this.lock.take(agent)) yield;
      if (!this.listener!.empty(agent, span)) {
        this.counts.add('SKIPPED');
        this.lock.give(agent);
        return;
      }
    }
    // Who looks whether its wait is over does so under the lock.
    const retakes = !held && this.polls === 'retaken';
    let holds = own;
    for (let i = 0; i < groups.length; ) {
      const group = groups[i]!.map((entry) => ({ ...entry }));
      if (!holds && !this.lock.take(agent)) yield;
      holds = held;
      while (this.occupied.length + group.length >= this.machine.iommu.ring) {
        this.counts.reach('ring full');
        this.roomless.push(agent);
        agent.block('wait');
        if (retakes) this.lock.give(agent);
        yield;
        if (retakes && !this.lock.take(agent)) yield;
      }
      const [submit, extra] = this.amd ? (['amd.submit', 'amd.extra'] as const) : (['qi.submit', 'qi.extra'] as const);
      agent.spend('submit', this.price(submit) + this.price(extra) * Math.max(0, group.length - 2));
      yield;
      if (this.machine.iommu.shadowed) {
        agent.spend('exit', this.price('viommu.exit') + this.price('viommu.entry') * this.entriesRead(group));
        yield;
      }
      this.occupied.push(...group);
      this.submitted.push(...group);
      this.rouse(agent.clock);
      this.seeTimeOut(agent);
      if (!held) this.lock.give(agent);
      if (group.at(-1)!.word !== 'wait') return;
      this.spoil(group[0]!);
      agent.block('wait');
      yield;
      if (retakes && !this.lock.take(agent)) {
        this.counts.reach('wait for the queue to see the end');
        yield;
      }
      if (this.refused && group.includes(this.submitted[0]!)) {
        agent.spend('submit', this.price(submit));
        yield;
        this.mend(group, agent.clock);
        if (!this.amd) {
          if (retakes) this.lock.give(agent);
          i++;
          continue;
        }
        agent.block('wait');
        yield;
      }
      for (const entry of group) this.seen.add(entry);
      if (!this.amd) this.release(this.seen, agent.clock);
      const { aborted } = group.at(-1)!;
      if (aborted) this.counts.add('RETRIES');
      if (!aborted || this.has('aborted-wait-as-done')) i++;
      if (aborted) this.seeTimeOut(agent);
      if (retakes) this.lock.give(agent);
    }
    if (held) this.lock.give(agent);
  }

  /** A driver that is at fault makes every so-manieth submission one that the IOMMU refuses. */
  private spoil(first: Entry): void {
    if (!this.has('malformed-command') || first.response !== undefined) return;
    first.malformed = ++this.written % MALFORMED_EVERY === 0;
  }

  /**
   * A command was refused. In its place comes a wait that does nothing, of AMD, or a copy of its submission's, of VT-d, whose
   * driver leaves it at that: the slots are the hardware's until both waits are over.
   */
  private mend(group: readonly Entry[], now: number): void {
    this.counts.add('REFUSED');
    const first = this.submitted[0]!;
    Object.assign(first, { word: 'wait', device: null, malformed: false });
    if (!this.amd) {
      const abandoned = { group, waits: 2 };
      for (const wait of [first, group.at(-1)!]) Object.assign(wait, { caller: null, abandoned });
    }
    this.refused = false;
    this.rouse(now);
  }

  /** The block is more than the address mask of a command may say. */
  private isTooWide({ word, first, last }: Entry): boolean {
    const { family, iommu } = this.machine;
    if (this.amd || family !== 'mm' || !this.has('mamv-not-checked')) return false;
    return (word === 'iotlb.page' || word === 'iotlb.range') && last - first + 1 > 2 ** iommu.maxAm;
  }

  /** A wait is over, whichever way. */
  private closeWait({ caller, abandoned }: Entry, now: number): void {
    if (caller !== null) this.tell(caller, now);
    if (abandoned === null || --abandoned.waits > 0) return;
    for (const entry of abandoned.group) this.seen.add(entry);
    this.release(this.seen, now);
  }

  /** Who polls is to look; one who waits for the lock to do so looks anyhow. */
  private tell(caller: Agent, now: number): void {
    if (caller.state === 'blocked' && caller.waitsFor === 'wait') caller.wake(now);
  }

  /** Who polls for a wait looks at the fault status, too: fetching goes on. */
  private seeTimeOut(agent: Agent): void {
    if (!this.error) return;
    this.error = false;
    this.rouse(agent.clock);
  }

  /** Entries of page tables that a hypervisor reads to carry out commands: a path to a block, or all tables of a space. */
  private entriesRead(group: readonly Entry[]): number {
    const { levels } = this.machine.iommu;
    const whole = (span: Span): number => (this.attached.lastTables(span) + levels - 2) * 512;
    this.counts.reach('exit to the hypervisor');
    let entries = 0;
    for (const { word, first, last } of group) {
      if (word === 'iotlb.page' || word === 'iotlb.range') entries += levels - 1 + (last - first + 1);
      if (word === 'iotlb.domain') entries += whole(this.attached.spaceOf(first));
      if (word === 'iotlb.global') for (const span of this.attached.all()) entries += whole(span);
    }
    return entries;
  }

  /** The oldest commands leave the ring, as far as they are free. */
  private release(free: ReadonlySet<Entry>, now: number): void {
    const before = this.occupied.length;
    while (this.occupied.length > 0 && free.has(this.occupied[0]!)) this.occupied.shift();
    if (this.occupied.length === before) return;
    for (const agent of this.roomless.splice(0)) agent.wake(now);
  }

  // ---- the IOMMU ----

  private rouse(now: number): void {
    if (this.hardware.state === 'blocked') this.hardware.wake(now);
  }

  /** One turn of the command processor: what it has begun has its effect, or it begins something, or it rests. */
  turn(): void {
    const { hardware, inHand } = this;
    const now = hardware.clock;
    if (inHand !== null) {
      this.inHand = null;
      this.carryOut(inHand.entry, inHand.number);
    } else if (this.completing) {
      this.completing = false;
      this.counts.add('WAIT');
      this.counts.reach('command wait');
      this.closeWait(this.waits.shift()!.entry, now);
    } else if (this.link.takeGivenUp()) this.timeOut(now);
    else if (this.waits.length > 0 && this.link.completeUpTo(this.waits[0]!.number)) {
      this.completing = true;
      hardware.spend('idle', this.price(this.amd ? 'amd.wait' : 'qi.wait'));
    } else if (this.error || this.refused || this.submitted.length === 0 || !this.begin(this.submitted[0]!))
      hardware.block('idle');
  }

  /** The next command, if it can be begun. */
  private begin(entry: Entry): boolean {
    const { hardware } = this;
    const now = hardware.clock;
    const { device } = entry;
    if (entry.malformed || this.isTooWide(entry)) {
      if (this.amd) this.counts.add('EVENTS');
      this.refused = true;
      this.tell(this.submitted.find(({ caller }) => caller !== null)!.caller!, now);
      return false;
    }
    if (device !== null && !this.link.hasTag(device, this.machine.device.itags)) {
      if (!this.stalled) this.counts.reach('wait for an ITag');
      this.stalled = true;
      return false;
    }
    this.stalled = false;
    const number = ++this.number;
    if (entry.word === 'wait') {
      if (this.waits.length > 0) this.counts.reach('several waits at a time');
      this.waits.push({ number, entry });
    } else if (entry.response !== undefined) {
      this.counts.add('PAGE_RESPONSES');
      this.onResponse(entry.response.index, entry.response.code, now);
    } else if (device !== null) {
      this.counts.on(device, () => this.counts.add('DEVICE_TLB'));
      this.counts.reach(`command ${entry.word}`);
      this.link.request(number, device, entry, now);
    } else {
      this.inHand = { entry, number };
      hardware.spend('idle', this.price(IOTLB_PRICE[entry.word]!));
    }
    this.submitted.shift();
    this.fetched.add(entry);
    // The driver reads the head.
    if (this.amd) this.release(this.fetched, now);
    return true;
  }

  private carryOut(entry: Entry, number: number): void {
    const { word, first, last } = entry;
    this.counts.reach(`command ${word}`);
    // A page or a range is told by the size of its block.
    const block = word === 'iotlb.page' || word === 'iotlb.range';
    this.counts.add(block ? (last > first ? 'IOTLB_RANGE' : 'IOTLB_PAGE') : IOTLB_COUNTER[word]!);
    if (entry.sparesTables) this.counts.reach('tables spared');
    else if (last === Number.POSITIVE_INFINITY) this.side.iommuWalker.empty();
    // AMD has no command for the entry of a PASID alone: all translations of one take it along.
    if (this.amd && last === Number.POSITIVE_INFINITY) this.side.pasids.clear();
    for (const span of this.attached.alike({ first, last })) this.forget(span, entry.sparesTables);
    // Without ATS it is the IOMMU that drains; with it, the device answers for what it was given.
    // Extended IOTLB invalidations drain whatever they say, and so does AMD's wait.
    const extended = this.machine.family === 'mm' && word !== 'iotlb.domain' && word !== 'iotlb.global';
    const asks = this.amd || extended;
    if (this.ats || (!asks && this.has('no-drain'))) return;
    for (const span of this.attached.alike({ first, last })) this.link.drain(number, span);
  }

  private forget({ first, last }: Span, sparesTables: boolean): void {
    for (const iotlb of this.side.iotlbs) this.side.drop(iotlb, first, last);
    if (!sparesTables && last !== Number.POSITIVE_INFINITY) this.dropTables({ first, last });
    for (const flight of this.side.flights)
      if (flight.page !== null && meets(flight.page, first, last)) flight.squashed.iotlb = true;
  }

  /** Walk caches forget what leads to these pages, or to all of their space. */
  dropTables(pages: Span): void {
    const { first, last } = this.machine.iommu.walkDrops === 'range' ? pages : this.attached.spaceOf(pages.first);
    this.side.iommuWalker.drop(first, last);
  }

  /** A device did not answer. VT-d gives all waits up; for AMD the command is done. */
  private timeOut(now: number): void {
    if (this.amd) {
      this.counts.add('EVENTS');
      return;
    }
    // Who polls for a wait that has not been fetched sees it at once.
    this.error = this.waits.length > 0 || !this.submitted.some(({ caller }) => caller !== null);
    for (const { entry } of this.waits.splice(0)) {
      entry.aborted = true;
      this.counts.add('ABORTED');
      this.closeWait(entry, now);
    }
  }

  turnOfLink(): void {
    this.link.turn();
  }

  /** A place in flight is free again. */
  landed(flight: Flight, now: number): void {
    this.link.landed(flight, now);
  }

  // ---- the PASID-state table ----

  /** Whether an entry can be used before hardware has dropped it. */
  get reachable(): boolean {
    return !(this.pending && this.active === 0);
  }

  /** A device begins to use the space. Returns whether a deferred invalidation was carried out. */
  activate(): boolean {
    this.counts.add('ACTIVATIONS');
    this.active++;
    if (this.active !== 1 || !this.pending) return false;
    this.pending = false;
    if (this.has('activation-without-flush')) return false;
    const { first, last } = EVERYTHING;
    for (const iotlb of this.side.iotlbs) this.side.drop(iotlb, first, last);
    for (const deviceTlb of this.side.deviceTlbs) this.side.drop(deviceTlb, first, last);
    this.side.iommuWalker.empty();
    this.counts.reach('deferred invalidation carried out');
    return true;
  }

  deactivate(device: number): void {
    this.active--;
    const { first, last } = EVERYTHING;
    if (this.machine.device.atcOnIdle === 'drop') this.side.drop(this.side.deviceTlbs[device]!, first, last);
  }
}

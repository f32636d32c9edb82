import type { CostKey } from '../model/cost.ts';
import { type HazardName, INVALIDATION_TIMEOUT, LOST_EVERY } from '../model/hazard.ts';
import { type Command, isInBlocks, type Machine, submission, widensRanges } from '../model/machine.ts';
import type { Agent, Turns } from './agent.ts';
import type { Listener } from './consumer.ts';
import type { Counter, Counts } from './counts.ts';
import { Link } from './link.ts';
import { Lock } from './lock.ts';
import { meets } from './page.ts';
import type { ResponseCode } from './page-request.ts';
import type { Flight, Secondary } from './secondary.ts';
import { blocksOf, covering, EVERYTHING, rounded, type Span } from './span.ts';

/** Prices in picoseconds. */
export type Price = (key: CostKey) => number;

/** A command in the ring, and who waits for it. */
interface Entry {
  readonly word: Command | 'page_response';
  readonly first: number;
  readonly last: number;
  readonly caller: Agent | null;
  /** Whose TLB it is about. */
  readonly device: number | null;
  /** Only leaves have changed, it says. */
  readonly sparesTables: boolean;
  /** The wait will not be completed. */
  aborted: boolean;
  /** What a response says, and to which group of page requests. */
  readonly response?: { readonly index: number; readonly code: ResponseCode };
}

/** What an invalidation is sent to, or what it is of: a map. */
type Asked = 'all' | 'map' | 'iotlbs';

/** What page numbers belong to. */
export interface Attachments {
  /** All of the page's space. */
  spaceOf(page: number): Span;
  /** Devices attached to it. */
  devicesOf(page: number): readonly number[];
  /** Pages that the IOTLB cannot tell from these, and these. */
  alike(span: Span): readonly Span[];
  /** All spaces. */
  all(): readonly Span[];
  /** Page tables of the last two levels that pages of a range have. */
  lastTables(span: Span): number;
}

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
  private roomless: Agent[] = [];
  private readonly link: Link;
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
    this.lock = new Lock('queue', 1, price('ptl.handoff'), counts);
    const way = Math.floor(price('device_tlb.inv') / 2);
    const faults = {
      loses: this.has('lost-invalidation') ? LOST_EVERY : 0,
      patience: INVALIDATION_TIMEOUT,
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
    // AMD's driver keeps the lock until the wait is over; VT-d's takes it per submission.
    const groups = this.groups(agent, span, of, frees);
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
    const common = { first: 0, last: 0, device: null, sparesTables: false, aborted: false };
    const response: Entry = { ...common, word: 'page_response', caller: null, response: { index, code } };
    const wait: Entry = { ...common, word: 'wait', caller: agent };
    yield* this.submit(agent, { first: 0, last: 0, whole: false }, [this.amd ? [response] : [response, wait]], false);
  }

  private *submit(
    agent: Agent,
    span: Span,
    groups: readonly Entry[][],
    holds = this.amd || this.listener?.hasOwnTable === true,
  ): Turns {
    const own = this.listener?.hasOwnTable === true;
    const held = holds;
    if (own) {
      if (!this.lock.take(agent)) yield;
      if (!this.listener!.empty(agent, span)) {
        this.counts.add('SKIPPED');
        this.lock.give(agent);
        return;
      }
    }
    let has = own;
    for (let i = 0; i < groups.length; ) {
      const group = groups[i]!.map((entry) => ({ ...entry }));
      if (!has && !this.lock.take(agent)) yield;
      has = held;
      while (this.occupied.length + group.length >= this.machine.iommu.ring) {
        this.counts.reach('ring full');
        this.roomless.push(agent);
        agent.block('wait');
        yield;
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
      agent.block('wait');
      yield;
      for (const entry of group) this.seen.add(entry);
      if (!this.amd) this.release(this.seen, agent.clock);
      const { aborted } = group.at(-1)!;
      if (aborted) this.counts.reach('wait aborted');
      if (!aborted || this.has('aborted-wait-as-done')) i++;
      if (aborted) this.seeTimeOut(agent);
    }
    if (held) this.lock.give(agent);
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

  /** What is written: groups of commands that each end in a wait. */
  private groups(caller: Agent, span: Span, of: Asked, frees: boolean): Entry[][] {
    const { machine } = this;
    const shown = { ...machine, device: { ...machine.device, ats: this.ats } };
    const what = of === 'map' ? 'map' : span.whole ? 'all' : span.first === span.last ? 'page' : 'range';
    const groups: Entry[][] = [[]];
    for (const word of submission(shown, what)) {
      const isWait = word === 'wait';
      const asked = of === 'iotlbs' ? [] : this.attached.devicesOf(span.first);
      const devices = word.startsWith('device_tlb.') ? asked : [null];
      const spans = word === 'iotlb.range' && isInBlocks(machine) ? blocksOf(span) : [span];
      if (spans.length > 1) this.counts.reach('range in blocks');
      for (const device of devices)
        for (const part of spans)
          groups.at(-1)!.push({
            word,
            ...this.reach(word, part),
            caller: isWait ? caller : null,
            device,
            sparesTables: this.sparesTables(word, span, frees),
            aborted: false,
          });
      if (isWait) groups.push([]);
    }
    // Where there is no device, there is nothing to wait for.
    return groups.slice(0, -1).flatMap((group) => (group.length > 1 ? this.batches(group) : []));
  }

  /** A group as submissions of at most so many commands, each with a wait of its own. */
  private batches(group: readonly Entry[]): Entry[][] {
    const wait = group.at(-1)!;
    const commands = group.slice(0, -1);
    const most = this.machine.driver.batch || commands.length;
    if (commands.length > most) this.counts.reach('several batches');
    return commands.flatMap((_, i) => (i % most === 0 ? [[...commands.slice(i, i + most), wait]] : []));
  }

  /** Pages that a command reaches. */
  private reach(word: Command, span: Span): Span {
    if (word === 'iotlb.global') return EVERYTHING;
    if (span.whole) return span;
    if (word === 'iotlb.page' || word === 'iotlb.range') {
      const aligned = this.amd || widensRanges(this.machine);
      const block = aligned ? covering(span) : rounded(span);
      if (block.last < span.last) this.counts.reach('range covered in part');
      return block;
    }
    return word === 'device_tlb.page' || word === 'device_tlb.range'
      ? covering(span)
      : this.attached.spaceOf(span.first);
  }

  /** Hinted where no table was freed. Unmapping all pages of a table of domains frees it; address spaces keep theirs. */
  private sparesTables(word: Command, { first, last, whole }: Span, frees: boolean): boolean {
    if (whole || (word !== 'iotlb.page' && word !== 'iotlb.range')) return false;
    if (this.has('leaf-only')) return true;
    if (this.machine.driver.ih === 'never' || frees) return false;
    const wholeTable = Math.ceil(first / 512) * 512 + 511 <= last;
    if (wholeTable) this.counts.reach('range of a whole table');
    return !(wholeTable && this.machine.family === 'dma');
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
      this.waits.shift()!.entry.caller!.wake(now);
    } else if (this.link.takeGivenUp()) this.timeOut(now);
    else if (this.waits.length > 0 && this.link.completeUpTo(this.waits[0]!.number)) {
      this.completing = true;
      hardware.spend('idle', this.price(this.amd ? 'amd.wait' : 'qi.wait'));
    } else if (this.error || this.submitted.length === 0 || !this.begin(this.submitted[0]!)) hardware.block('idle');
  }

  /** The next command, if it can be begun. */
  private begin(entry: Entry): boolean {
    const { hardware } = this;
    const now = hardware.clock;
    const { device } = entry;
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
      this.counts.add('DEVICE_TLB');
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
    if (this.amd) return;
    // Who polls for a wait that has not been fetched sees it at once.
    this.error = this.waits.length > 0 || !this.submitted.some(({ caller }) => caller !== null);
    for (const { entry } of this.waits.splice(0)) {
      entry.aborted = true;
      entry.caller!.wake(now);
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

  /** The device begins to use the space. Returns whether a deferred invalidation was carried out. */
  activate(): boolean {
    this.counts.add('ACTIVATIONS');
    this.active++;
    if (this.active !== 1 || !this.pending) return false;
    this.pending = false;
    if (this.has('activation-without-flush')) return false;
    const { first, last } = EVERYTHING;
    for (const iotlb of this.side.iotlbs) this.side.drop(iotlb, first, last);
    this.side.drop(this.side.deviceTlbs[0]!, first, last);
    this.side.iommuWalker.empty();
    this.counts.reach('deferred invalidation carried out');
    return true;
  }

  deactivate(): void {
    this.active--;
    const { first, last } = EVERYTHING;
    if (this.machine.device.atcOnIdle === 'drop') this.side.drop(this.side.deviceTlbs[0]!, first, last);
  }
}

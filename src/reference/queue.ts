import type { CostKey } from '../model/cost.ts';
import { type Command, type Machine, submission } from '../model/machine.ts';
import type { Agent, Turns } from './agent.ts';
import type { Counter, Counts } from './counts.ts';
import { Lock } from './lock.ts';
import type { Space } from './space.ts';

/** Prices in picoseconds. */
export type Price = (key: CostKey) => number;

/** A command in the ring, and who waits for it. */
interface Entry {
  readonly word: Command;
  readonly first: number;
  readonly last: number;
  readonly caller: Agent | null;
}

/** Pages that an invalidation is for, both included. */
export interface Span {
  readonly first: number;
  readonly last: number;
}

/** The whole space. */
export const EVERYTHING: Span = { first: 0, last: Number.POSITIVE_INFINITY };

/** Smallest aligned block of 2^n pages that covers a span. */
function covering({ first, last }: Span): Span {
  let size = 1;
  while (Math.floor(first / size) !== Math.floor(last / size)) size *= 2;
  const start = Math.floor(first / size) * size;
  return { first: start, last: start + size - 1 };
}

/** What hardware makes of a first page and the rounded-up number of pages: the block is aligned, so it may fall short. */
function rounded({ first, last }: Span): Span {
  let size = 1;
  while (size < last - first + 1) size *= 2;
  const start = Math.floor(first / size) * size;
  return { first: start, last: start + size - 1 };
}

const IOTLB_COUNTER: Partial<Record<Command, Counter>> = {
  'iotlb.page': 'IOTLB_PAGE',
  'iotlb.range': 'IOTLB_RANGE',
  'iotlb.pasid': 'IOTLB_PASID',
  'iotlb.domain': 'IOTLB_DOMAIN',
  'iotlb.global': 'IOTLB_GLOBAL',
};

const IOTLB_PRICE: Partial<Record<Command, CostKey>> = {
  'iotlb.page': 'iotlb.inv_page',
  'iotlb.range': 'iotlb.inv_page',
  'iotlb.pasid': 'iotlb.inv_pasid',
  'iotlb.domain': 'iotlb.inv_domain',
  'iotlb.global': 'iotlb.inv_global',
};

/** The invalidation queue: the driver that writes commands, the IOMMU that carries them out, and the deferral before both. */
export class Queue {
  private readonly lock: Lock;
  private readonly ring: Entry[] = [];
  private roomless: Agent[] = [];
  private phase: 'fetch' | 'serve' | 'drain' = 'fetch';
  /** How many times the device is active in the space, and whether an invalidation waits for that. */
  private active = 0;
  private pending = false;

  constructor(
    private readonly machine: Machine,
    private readonly ats: boolean,
    private readonly price: Price,
    private readonly space: Space,
    readonly hardware: Agent,
    private readonly counts: Counts,
  ) {
    this.lock = new Lock('queue', 1, price('ptl.handoff'), counts);
  }

  // ---- the driver ----

  /** One invalidation of the secondary MMU, from the call to its return. */
  *invalidate(agent: Agent, span: Span): Turns {
    this.counts.add('SECONDARY');
    if (this.machine.driver.deferral && this.active === 0 && !this.pending) {
      this.pending = true;
      this.counts.add('DEFERRED');
      agent.spend('defer', this.price('deferral.mark'));
      return;
    }
    if (this.machine.driver.deferral && this.active === 0) this.counts.reach('idle, but marked already');
    const held = this.machine.iommu.commands === 'amd';
    for (const [i, group] of this.groups(agent, span).entries()) {
      if ((i === 0 || !held) && !this.lock.take(agent)) yield;
      while (this.ring.length + group.length >= this.machine.iommu.ring) {
        this.counts.reach('ring full');
        this.roomless.push(agent);
        agent.block('wait');
        yield;
      }
      const [submit, extra] = held ? (['amd.submit', 'amd.extra'] as const) : (['qi.submit', 'qi.extra'] as const);
      agent.spend('submit', this.price(submit) + this.price(extra) * (group.length - 2));
      yield;
      this.ring.push(...group);
      if (this.hardware.state === 'blocked' && this.phase === 'fetch') this.hardware.wake(agent.clock);
      if (!held) this.lock.give(agent);
      agent.block('wait');
      yield;
    }
    if (held) this.lock.give(agent);
  }

  /** What is written: groups of commands that each end in a wait. */
  private groups(caller: Agent, span: Span): Entry[][] {
    const { machine } = this;
    const shown = { ...machine, device: { ...machine.device, ats: this.ats } };
    const what = span === EVERYTHING ? 'all' : span.first === span.last ? 'page' : 'range';
    const groups: Entry[][] = [[]];
    for (const word of submission(shown, what)) {
      const isWait = word === 'wait';
      groups.at(-1)!.push({ word, ...this.reach(word, span), caller: isWait ? caller : null });
      if (isWait) groups.push([]);
    }
    return groups.slice(0, -1);
  }

  /** Pages that a command reaches. */
  private reach(word: Command, span: Span): Span {
    if (span === EVERYTHING) return span;
    if (word === 'iotlb.page' || word === 'iotlb.range') {
      const aligned = this.machine.iommu.commands === 'amd' || this.machine.driver.rangeCover === 'aligned';
      const block = aligned ? covering(span) : rounded(span);
      if (block.last < span.last) this.counts.reach('range covered in part');
      return block;
    }
    return word === 'device_tlb.page' || word === 'device_tlb.range' ? covering(span) : EVERYTHING;
  }

  // ---- the IOMMU ----

  /** One turn of the command processor. */
  turn(): void {
    const { hardware } = this;
    const command = this.ring[0];
    if (command === undefined) {
      hardware.block('idle');
      return;
    }
    if (this.phase === 'fetch') {
      this.phase = 'serve';
      hardware.spend('idle', this.service(command));
      return;
    }
    if (this.phase === 'serve') this.carryOut(command);
    if (this.space.flights.some(({ covered }) => covered)) {
      this.phase = 'drain';
      this.counts.reach('invalidation waits for landings');
      hardware.block('idle');
      return;
    }
    this.phase = 'fetch';
    this.ring.shift();
    command.caller?.wake(hardware.clock);
    for (const agent of this.roomless.splice(0)) agent.wake(hardware.clock);
  }

  private service({ word }: Entry): number {
    const amd = this.machine.iommu.commands === 'amd';
    if (word === 'wait') return this.price(amd ? 'amd.wait' : 'qi.wait');
    return this.price(word.startsWith('device_tlb.') ? 'device_tlb.inv' : IOTLB_PRICE[word]!);
  }

  private carryOut({ word, first, last }: Entry): void {
    this.counts.reach(`command ${word}`);
    if (word === 'wait') {
      this.counts.add('WAIT');
      return;
    }
    const device = word.startsWith('device_tlb.');
    const { space } = this;
    this.counts.add(device ? 'DEVICE_TLB' : IOTLB_COUNTER[word]!);
    space.dropSecondary(device ? space.deviceTlb : space.iotlb, first, last);
    if (!device) space.iommuWalker.empty();
    for (const flight of space.flights) {
      if (flight.page === null || flight.page.vpn < first || flight.page.vpn > last) continue;
      flight.squashed = true;
      // Without ATS it is the IOMMU that drains; with it, the device answers for what it was given.
      if ((device || !this.ats) && flight.copy !== null) flight.covered = true;
    }
  }

  /** An access that an invalidation waited for has landed. */
  landed(now: number): void {
    if (this.space.flights.some(({ covered }) => covered)) return;
    if (this.hardware.state === 'blocked' && this.phase === 'drain') this.hardware.wake(now);
  }

  // ---- the PASID-state table ----

  /** Whether an entry can be used before hardware has dropped it. */
  get reachable(): boolean {
    return !this.pending;
  }

  /** The device begins to use the space. Returns whether a deferred invalidation was carried out. */
  activate(): boolean {
    this.counts.add('ACTIVATIONS');
    this.active++;
    if (this.active !== 1 || !this.pending) return false;
    this.pending = false;
    const { first, last } = EVERYTHING;
    this.space.dropSecondary(this.space.iotlb, first, last);
    this.space.dropSecondary(this.space.deviceTlb, first, last);
    this.space.iommuWalker.empty();
    this.counts.reach('deferred invalidation carried out');
    return true;
  }

  deactivate(): void {
    this.active--;
    const { first, last } = EVERYTHING;
    if (this.machine.device.atcOnIdle === 'drop') this.space.dropSecondary(this.space.deviceTlb, first, last);
  }
}

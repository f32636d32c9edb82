import { type Command, isInBlocks, type Machine, submission, widensRanges } from '../model/machine.ts';
import type { Agent } from './agent.ts';
import type { Counts } from './counts.ts';
import type { ResponseCode } from './page-request.ts';
import { blocksOf, covering, EVERYTHING, rounded, type Span } from './span.ts';

/** A command in the ring, and who waits for it. */
export interface Entry {
  word: Command | 'page_response';
  readonly first: number;
  readonly last: number;
  caller: Agent | null;
  /** Whose TLB it is about. */
  device: number | null;
  /** Only leaves have changed, it says. */
  readonly sparesTables: boolean;
  /** The wait will not be completed. */
  aborted: boolean;
  /** What a response says, and to which group of page requests. */
  readonly response?: { readonly index: number; readonly code: ResponseCode };
  /** The IOMMU takes no command of this form. */
  malformed: boolean;
  /** Of a wait that nobody polls for: what it was submitted with. */
  abandoned: { readonly group: readonly Entry[]; waits: number } | null;
}

/** An entry that nothing has happened to. */
export const FRESH = { aborted: false, malformed: false, abandoned: null };

/** What an invalidation is sent to, or what it is of: a map. */
export type Asked = 'all' | 'map' | 'iotlbs';

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

/** What a driver writes into the ring for an invalidation. */
export class Submissions {
  constructor(
    private readonly machine: Machine,
    private readonly ats: boolean,
    private readonly attached: Attachments,
    private readonly counts: Counts,
  ) {}

  /** What is written: groups of commands that each end in a wait; of some drivers those of one device after the other. */
  groups(caller: Agent, span: Span, of: Asked, frees: boolean): Entry[][] {
    const all = this.attached.devicesOf(span.first);
    const turns = this.machine.driver.perDevice === 'all' ? all.map((device) => [device]) : [all];
    if (turns.length > 1) this.counts.reach('list submitted for each of several devices');
    return turns.flatMap((devices) => this.groupsFor(devices, caller, span, of, frees));
  }

  private groupsFor(all: readonly number[], caller: Agent, span: Span, of: Asked, frees: boolean): Entry[][] {
    const { machine } = this;
    const shown = { ...machine, device: { ...machine.device, ats: this.ats } };
    const what = of === 'map' ? 'map' : span.whole ? 'all' : span.first === span.last ? 'page' : 'range';
    const groups: Entry[][] = [[]];
    for (const word of submission(shown, what)) {
      const isWait = word === 'wait';
      const asked = of === 'iotlbs' ? [] : all.filter((device) => !this.hasNoTag(device, span));
      const devices = word.startsWith('device_tlb.') ? asked : [null];
      if (devices.length > 1) this.counts.reach('command to each of several devices');
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
            ...FRESH,
          });
      if (isWait) groups.push([]);
    }
    // Where there is no device, there is nothing to wait for.
    return groups.slice(0, -1).flatMap((group) => (group.length > 1 ? this.batches(group) : []));
  }

  /** The driver does not know that the device has a TLB. */
  private hasNoTag(device: number, { first }: Span): boolean {
    return this.machine.hazards.includes('device-without-tag') && device === this.attached.devicesOf(first).at(-1);
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
    const part = word.endsWith('.page') || word.endsWith('.range');
    if (part && span.overflows) return { first: span.first, last: span.first };
    if (word === 'iotlb.page' || word === 'iotlb.range') {
      const aligned = this.machine.iommu.commands === 'amd' || widensRanges(this.machine);
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
    if (this.machine.hazards.includes('leaf-only')) return true;
    if (this.machine.driver.ih === 'never' || frees) return false;
    const wholeTable = Math.ceil(first / 512) * 512 + 511 <= last;
    if (wholeTable) this.counts.reach('range of a whole table');
    return !(wholeTable && this.machine.family === 'dma');
  }
}

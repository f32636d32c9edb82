import { PROT } from '../../model/trace.ts';
import type { TraceWriter } from '../writer.ts';
import type { Random } from './random.ts';
import { Ranges } from './ranges.ts';
import type { Sizes } from './workload.ts';

/** Picoseconds. */
export const NS = 1000;
const SECOND = 1e12;

/** What a device may do to a mapping. */
export const TO_DEVICE = PROT.read;
export const FROM_DEVICE = PROT.write;
export const BOTH_WAYS = PROT.read | PROT.write;

/** IOVAs below 4 GiB, as Linux hands them out first. */
const IOVA_TOP = 0x10_0000;
/** Frames of 64 GiB of memory. */
const FRAME_TOP = 0x100_0000;

/** How long after its unmap a late access comes: within the 10 ms of a flush queue's timer, or behind it. */
const LATE_MEAN = 5e6 * NS;

/** Pieces of memory that are mapped in one IOVA allocation. */
export interface List {
  readonly device: number;
  readonly first: number;
  readonly pieces: readonly { readonly frame: number; readonly pages: number }[];
  readonly iova: number;
  readonly pages: number;
  readonly prot: number;
  accesses: number;
}

/** An access after its unmap: `due` on the device's clock, `after` as the record has it. */
interface Late {
  readonly due: number;
  readonly fields: readonly number[];
}

/** Drivers on CPUs, and their devices, through the DMA API. */
export class Driver {
  private readonly domains: Ranges[] = [];
  private readonly frames = new Ranges(FRAME_TOP);
  private readonly cpus: number;
  /** Of each device, what it does behind an unmap, and its clock in picoseconds. */
  private readonly late: Late[][] = [];
  private readonly clocks: number[] = [];
  private instances = 0;

  constructor(
    private readonly out: TraceWriter,
    private readonly sizes: Sizes,
    private readonly random: Random,
    name: string,
  ) {
    this.cpus = sizes.cpus;
    for (let device = 0; device < sizes.devices; device++) {
      out.space(`domain ${device + 1}`, 'domain');
      this.domains.push(new Ranges(IOVA_TOP));
      this.late.push([]);
      this.clocks.push(0);
    }
    for (let cpu = 0; cpu < sizes.cpus; cpu++) out.agent(`cpu${cpu}`, 'cpu', 0);
    for (let device = 0; device < sizes.devices; device++) {
      const agent = out.agent(`${name}${device}`, 'device', device);
      out.event(agent, 'attach', [device, device + 1, (device + 1) << 8, 0]);
    }
  }

  /** Maps `pages` in pieces of at most `most` pages. `gap`: work of the CPU before it. */
  map(cpu: number, device: number, pages: number, prot: number, { most = pages, gap = 0 } = {}): List {
    const iova = this.domains[device]!.take(pages);
    const list = { device, first: this.instances, pieces: [] as { frame: number; pages: number }[] };
    for (let done = 0; done < pages; ) {
      const size = Math.min(pages - done, this.random.between(1, most));
      const frame = this.frames.take(size);
      const fields = [device, this.instances++, size, frame, prot, iova + done, done === 0 ? 0 : 1];
      this.out.event(cpu, 'map', fields, done === 0 ? gap : 0);
      list.pieces.push({ frame, pages: size });
      done += size;
    }
    return { ...list, iova, pages, prot, accesses: 0 };
  }

  /** Unmaps once the device has made its accesses; some of them come late. */
  unmap(cpu: number, list: List, gap = 0): void {
    const { device, first, pieces, pages, accesses, iova, prot } = list;
    this.out.event(cpu, 'unmap', [device, first, pieces.length, accesses], gap);
    this.domains[device]!.give(iova, pages);
    for (const piece of pieces) this.frames.give(piece.frame, piece.pages);
    if (!this.random.chance(this.sizes.late / 100)) return;
    const after = this.random.around(LATE_MEAN);
    const fields = [first, 0, 0, (prot & PROT.write) === 0 ? 0 : 1, 1 + after];
    const waiting = this.late[device]!;
    const due = this.clocks[device]! + after;
    const place = waiting.findIndex((other) => other.due > due);
    waiting.splice(place < 0 ? waiting.length : place, 0, { due, fields });
  }

  /** The device uses page `page` of the list. */
  access(list: List, page: number, { write = list.prot !== TO_DEVICE, offset = 0, gap = 0 } = {}): void {
    let [instance, rest] = [list.first, page];
    for (const piece of list.pieces) {
      if (rest < piece.pages) break;
      rest -= piece.pages;
      instance++;
    }
    list.accesses++;
    this.clocks[list.device]! += gap;
    this.catchUp(list.device, this.clocks[list.device]!);
    this.out.event(this.cpus + list.device, 'dma', [instance, rest, offset, write ? 1 : 0, 0], gap);
  }

  /** Late accesses that are still to come, in the order of their time: a device does one thing after the other. */
  end(): void {
    for (let device = 0; device < this.late.length; device++) this.catchUp(device, Number.POSITIVE_INFINITY);
  }

  private catchUp(device: number, now: number): void {
    const waiting = this.late[device]!;
    while (waiting.length > 0 && waiting[0]!.due <= now)
      this.out.event(this.cpus + device, 'dma', waiting.shift()!.fields);
  }

  /** Think time of a device between operations, with as many queues as there are CPUs. */
  pause(): number {
    return this.random.around(SECOND / this.sizes.rate / this.cpus);
  }
}

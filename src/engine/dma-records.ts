import { TraceError } from '../model/errors.ts';
import { PROT, type TraceEvent, type TraceMeta } from '../model/trace.ts';
import { type Chunk, HEAD_EVENT, HEAD_OP, HEAD_SHIFT } from '../trace/format.ts';
import { DmaFrames } from './dma-frames.ts';
import type { Numbers } from './encode.ts';
import type { DmaSizes } from './encode-dma.ts';

/** One record that is replayed; `fields` as assembly/recording.ts draws them. */
interface Row {
  readonly op: 'MAP' | 'UNMAP' | 'ACCESS' | 'RAW';
  readonly actor: number;
  readonly think: number;
  readonly fields: number[];
  /** Its number in the trace. */
  readonly origin: number;
}

interface Mapping {
  readonly space: number;
  readonly pages: number;
  /** Place of its first page among the pages of all mappings. */
  readonly offset: number;
  /** Row that begins its IOVA allocation. */
  readonly head: Row;
}

/** The records of a DMA recording on their way into the engine: think times, allocations, dense frames. Runs may share them. */
export class DmaRecords {
  private readonly rows: Row[] = [];
  private readonly mappings: (Mapping | undefined)[] = [];
  private readonly pages = new DmaFrames();
  private readonly actors: readonly number[];
  private readonly think: number[];
  private readonly cpus: number;
  private readonly devices: number;
  private record = 0;
  private made: { readonly sizes: DmaSizes; readonly frames: Uint32Array; rows?: Float64Array } | undefined;

  constructor(
    private readonly meta: TraceMeta,
    private readonly timeScale: number,
  ) {
    const { agents } = meta;
    this.cpus = agents.filter(({ kind }) => kind === 'cpu').length;
    this.devices = agents.length - this.cpus;
    let cpu = 0;
    let device = this.cpus;
    this.actors = agents.map(({ kind }) => (kind === 'cpu' ? cpu++ : device++));
    this.think = agents.map(() => 0);
  }

  feed(chunk: Chunk): void {
    for (const head of chunk.heads) {
      if ((head & HEAD_OP) === HEAD_EVENT) this.add(chunk.events[head >>> HEAD_SHIFT]!);
    }
  }

  /** The next event of the trace. What the recorded policy did is ignored; time that passed in it is kept. */
  private add({ op, agent, gap, fields }: TraceEvent): void {
    const origin = this.record++;
    this.think[agent] = this.think[agent]! + gap;
    if (op !== 'map' && op !== 'unmap' && op !== 'dma' && op !== 'dmaRaw') return;
    const think = Math.round(this.think[agent]! * this.timeScale);
    this.think[agent] = 0;
    const row = (name: Row['op'], ...values: number[]): Row => {
      const made = { op: name, actor: this.actors[agent]!, think, fields: values, origin };
      this.rows.push(made);
      return made;
    };
    if (op === 'dmaRaw') row('RAW');
    else if (op === 'map') this.map(row, fields, origin);
    else {
      const [first, second, third, fourth, fifth] = fields as [number, number, number, number, number];
      if (op === 'unmap') {
        for (let id = second; id < second + third; id++) this.mapping(id, origin);
        row('UNMAP', second, third, fourth);
        return;
      }
      const { pages } = this.mapping(first, origin);
      if (second >= pages) throw new TraceError(`record ${origin}`, `page ${second} of a mapping of ${pages}`);
      row('ACCESS', first, second, fourth, fifth);
    }
  }

  private map(row: (name: 'MAP', ...values: number[]) => Row, fields: readonly number[], origin: number): void {
    const [space, id, pages, frame, prot, , joined] = fields as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    if (this.mappings[id]) throw new TraceError(`record ${origin}`, `instance ${id} is mapped twice`);
    const before = joined === 0 ? undefined : this.mappings[id - 1];
    const made = row('MAP', id, before ? 0 : pages, (prot & PROT.write) === 0 ? 0 : 1);
    // A scatter list is one allocation: its first piece asks for all of it.
    if (before) before.head.fields[1] = before.head.fields[1]! + pages;
    this.mappings[id] = { space, pages, offset: this.pages.length, head: before?.head ?? made };
    for (let i = 0; i < pages; i++) this.pages.add(space, frame + i);
  }

  private mapping(id: number, origin: number): Mapping {
    const found = this.mappings[id];
    if (!found) throw new TraceError(`record ${origin}`, `instance ${id} is not mapped before`);
    return found;
  }

  /** How much there is, once everything has been fed. */
  sizes(): DmaSizes {
    return this.whole().sizes;
  }
  /** Frame of each page of each mapping. */
  frames(): Uint32Array {
    return this.whole().frames;
  }
  private whole() {
    if (this.made === undefined) {
      const sizes = {
        cpus: this.cpus,
        devices: this.devices,
        devicesOfOne: mostOften(this.deviceSpaces()),
        spaces: this.meta.spaces.length,
        records: this.rows.length,
        instances: this.mappings.length,
        pages: this.pages.length,
        frames: this.pages.arrange(),
      };
      this.made = { sizes, frames: Uint32Array.from(this.pages.numbers()) };
    }
    return this.made;
  }

  /** Domain of each device. */
  deviceSpaces(): number[] {
    return this.meta.agents.filter(({ kind }) => kind === 'device').map(({ space }) => space);
  }
  /** Page number of a frame in memory. */
  frameNumber(id: number): number {
    return this.pages.frameNumber(id);
  }
  /** Number in the trace of a row. */
  origin(row: number): number {
    return this.rows[row]!.origin;
  }

  writeRows(into: Float64Array, numbers: Numbers): void {
    const whole = this.whole();
    whole.rows ??= this.encoded(numbers);
    into.set(whole.rows);
  }

  private encoded(numbers: Numbers): Float64Array {
    const words = numbers('RECORD_WORDS');
    const rows = new Float64Array(this.rows.length * words);
    const ops = { MAP: 0, UNMAP: 0, ACCESS: 0, RAW: 0 };
    for (const op of Object.keys(ops) as Row['op'][]) ops[op] = numbers(`RECORD_${op}`);
    this.rows.forEach(({ op, actor, think, fields }, i) => {
      const at = i * words;
      rows[at] = ops[op];
      rows[at + 1] = actor;
      rows[at + 2] = think;
      rows.set(fields, at + 3);
    });
    return rows;
  }

  /** The columns of each instance that the host knows: the u32 words 4, 5 and 6. */
  writeInstances(into: Uint32Array, stride: number): void {
    this.mappings.forEach((mapping, id) => {
      if (mapping === undefined) return;
      const at = id * stride + 4;
      into[at] = mapping.offset;
      into[at + 1] = mapping.pages;
      into[at + 2] = mapping.space;
    });
  }
}

/** How often the value stands there that stands there most often. */
function mostOften(values: readonly number[]): number {
  return Math.max(0, ...values.map((value) => values.filter((other) => other === value).length));
}

import { TraceError } from '../model/errors.ts';
import { PROT, type TraceEvent, type TraceMeta } from '../model/trace.ts';
import { type Chunk, HEAD_EVENT, HEAD_OP, HEAD_SHIFT } from '../trace/format.ts';
import { DmaFrames } from './dma-frames.ts';
import { DmaRows, type RowOp } from './dma-rows.ts';
import type { Numbers } from './encode.ts';
import type { DmaSizes } from './encode-dma.ts';

/** Columns of the mappings, by instance; there are as many as maps, so that they are no objects. */
class Mappings {
  readonly space: number[] = [];
  readonly pages: number[] = [];
  /** Place of its first page among the pages of all mappings. */
  readonly offset: number[] = [];
  /** Actor whose row begins its IOVA allocation, and which row of that actor. */
  readonly actor: number[] = [];
  readonly row: number[] = [];
}

/** Where the engine wants the parts of a recording. */
export interface RecordExports {
  windowRows(): number;
  rowsAt(actor: number): number;
  giveRows(actor: number, count: number, left: number): void;
  instancesAt(): number;
  framesAt(): number;
  devicesAt(): number;
}

/** What the engine reads of a recording, in its layout. */
interface Encoded {
  /** Of each actor. */
  readonly rows: readonly Uint32Array[];
  readonly instances: Uint32Array;
}

/** The records of a DMA recording on their way into the engine: think times, allocations, dense frames. Runs may share them. */
export class DmaRecords {
  /** By actor: CPUs, then devices. */
  private readonly rows: readonly DmaRows[];
  private readonly mappings = new Mappings();
  private readonly pages = new DmaFrames();
  private readonly actors: readonly number[];
  private readonly think: number[];
  private readonly cpus: number;
  private readonly devices: number;
  private record = 0;
  private made: { readonly sizes: DmaSizes; readonly frames: Uint32Array } | undefined;
  private encoded: Encoded | undefined;

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
    this.rows = agents.map(() => new DmaRows());
  }

  feed(chunk: Chunk): void {
    for (const head of chunk.heads) {
      if ((head & HEAD_OP) === HEAD_EVENT) this.add(chunk.events[head >>> HEAD_SHIFT]!);
    }
  }

  /** The next event of the trace. What the recorded policy did is ignored; time that passed in it is kept. */
  add({ op, agent, gap, fields }: TraceEvent): void {
    const origin = this.record++;
    this.think[agent] = this.think[agent]! + gap;
    if (op === 'dmaRaw') this.push(agent, origin, 'RAW', 0, 0, 0, 0);
    else if (op === 'map') this.map(agent, origin, fields);
    else if (op === 'unmap') {
      const [, first, instances, accesses] = fields as [number, number, number, number];
      for (let id = first; id < first + instances; id++) this.pagesOf(id, origin);
      this.push(agent, origin, 'UNMAP', 0, first, instances, accesses);
    } else if (op === 'dma') {
      const [id, page, , write, after] = fields as [number, number, number, number, number];
      const pages = this.pagesOf(id, origin);
      if (page >= pages) throw new TraceError(`record ${origin}`, `page ${page} of a mapping of ${pages}`);
      this.push(agent, origin, 'ACCESS', after, id, page, write);
    }
  }

  /** Adds a row, after the time that its agent thinks before it; values as assembly/recording.ts draws them. */
  private push(agent: number, origin: number, op: RowOp, time: number, a: number, b: number, c: number): number {
    const think = Math.round(this.think[agent]! * this.timeScale);
    this.think[agent] = 0;
    return this.rows[this.actors[agent]!]!.push(origin, op, think, time, a, b, c);
  }

  private map(agent: number, origin: number, fields: readonly number[]): void {
    const [space, id, pages, frame, prot, , joined] = fields as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const { mappings } = this;
    if (mappings.pages[id] !== undefined) throw new TraceError(`record ${origin}`, `instance ${id} is mapped twice`);
    const isPiece = joined !== 0 && mappings.pages[id - 1] !== undefined;
    const made = this.push(agent, origin, 'MAP', 0, id, isPiece ? 0 : pages, (prot & PROT.write) === 0 ? 0 : 1);
    const actor = isPiece ? mappings.actor[id - 1]! : this.actors[agent]!;
    const row = isPiece ? mappings.row[id - 1]! : made;
    // A scatter list is one allocation: its first piece asks for all of it.
    if (isPiece) this.rows[actor]!.widen(row, pages);
    mappings.space[id] = space;
    mappings.pages[id] = pages;
    mappings.offset[id] = this.pages.length;
    mappings.actor[id] = actor;
    mappings.row[id] = row;
    for (let i = 0; i < pages; i++) this.pages.add(space, frame + i);
  }

  /** Pages of a mapping, which must be there. */
  private pagesOf(id: number, origin: number): number {
    const pages = this.mappings.pages[id];
    if (pages === undefined) throw new TraceError(`record ${origin}`, `instance ${id} is not mapped before`);
    return pages;
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
        records: this.rows.reduce((sum, { length }) => sum + length, 0),
        instances: this.mappings.pages.length,
        pages: this.pages.length,
        frames: this.pages.arrange(),
      };
      this.made = { sizes, frames: this.pages.numbers() };
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
  /** Number in the trace of a row of the engine. */
  origin(row: number): number {
    let at = row;
    for (const rows of this.rows) {
      if (at < rows.length) return rows.origin(at);
      at -= rows.length;
    }
    throw new RangeError(`row ${row} of a recording`);
  }

  /** Rows and instances. Made for the first run. */
  private columns(numbers: Numbers): Encoded {
    this.encoded ??= {
      rows: this.encodeRows(numbers),
      instances: this.encodeInstances(numbers('INSTANCE_BYTES') / 4),
    };
    return this.encoded;
  }

  /**
   * Writes all into an engine that is laid out for its sizes, of each actor's rows as many as it takes at a time. Returns what
   * gives an actor the next of them.
   */
  write(memory: WebAssembly.Memory, exports: RecordExports, numbers: Numbers): (actor: number) => void {
    const put = (at: number, column: Uint32Array) => new Uint32Array(memory.buffer, at, column.length).set(column);
    const { rows, instances } = this.columns(numbers);
    put(exports.instancesAt(), instances);
    put(exports.framesAt(), this.frames());
    put(exports.devicesAt(), Uint32Array.from(this.deviceSpaces()));
    const words = numbers('RECORD_BYTES') / 4;
    const window = exports.windowRows() * words;
    const given = rows.map(() => 0);
    const give = (actor: number): void => {
      const from = given[actor]!;
      const column = rows[actor]!.subarray(from, from + window);
      given[actor] = from + column.length;
      put(exports.rowsAt(actor), column);
      exports.giveRows(actor, column.length / words, (rows[actor]!.length - given[actor]) / words);
    };
    for (let actor = 0; actor < rows.length; actor++) give(actor);
    return give;
  }

  /** The rows of each actor; they are numbered from one actor to the next. */
  private encodeRows(numbers: Numbers): Uint32Array[] {
    let first = 0;
    return this.rows.map((own) => {
      const rows = own.encode(first, numbers);
      first += own.length;
      return rows;
    });
  }

  /** The columns of each instance that the host knows: the u32 words 4, 5 and 6. */
  private encodeInstances(stride: number): Uint32Array {
    const { space, pages, offset } = this.mappings;
    const instances = new Uint32Array(pages.length * stride);
    for (let id = 0; id < pages.length; id++) {
      if (pages[id] === undefined) continue;
      const at = id * stride + 4;
      instances[at] = offset[id]!;
      instances[at + 1] = pages[id]!;
      instances[at + 2] = space[id]!;
    }
    return instances;
  }
}

/** How often the value stands there that stands there most often. */
function mostOften(values: readonly number[]): number {
  return Math.max(0, ...values.map((value) => values.filter((other) => other === value).length));
}

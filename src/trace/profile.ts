import type { Change, Lifetimes, Reuse, TraceProfile } from '../model/profile.ts';
import { MM_EVENTS, type TraceEvent } from '../model/trace.ts';
import { PS_PER_NS } from '../model/units.ts';
import { type Chunk, HEAD_EVENT, HEAD_OP, HEAD_SHIFT } from './format.ts';
import type { Trace } from './reader.ts';
import { ReuseDistances } from './reuse.ts';
import { FETCH } from './writer.ts';

/** Pages of an aligned block of 2 MiB. */
const BLOCK = 512;

/** Looks at every record once. Yields the records so far, chunk by chunk. */
export function* profiling(trace: Trace): Generator<number, TraceProfile> {
  const profile = new Profile(trace.meta.agents.map(({ kind }) => kind === 'device'));
  let records = 0;
  for (const chunk of trace.chunks()) {
    profile.take(chunk);
    records += chunk.records;
    yield records;
  }
  return profile.result();
}

/** Counts in ranges that double. */
class Counts {
  readonly cells: number[] = [];

  add(value: number, times = 1): void {
    const at = value < 2 ** 31 ? 32 - Math.clz32(value) : Math.floor(Math.log2(value)) + 1;
    while (this.cells.length <= at) this.cells.push(0);
    this.cells[at]! += times;
  }
}

/** One kind of access, of all agents. */
class Uses {
  first = 0;
  accesses = 0;
  readonly distances = new Counts();
  private readonly streams: ReuseDistances[] = [];

  /** The first access of a run by `agent`. */
  touch(agent: number, page: number): void {
    this.streams[agent] ??= new ReuseDistances();
    const distance = this.streams[agent].touch(page);
    this.accesses++;
    if (distance < 0) this.first++;
    else this.distances.add(distance);
  }

  /** More accesses to the page used last. */
  again(times: number): void {
    if (times === 0) return;
    this.accesses += times;
    this.distances.add(0, times);
  }

  result(of: Reuse['of']): Reuse {
    return { of, accesses: this.accesses, first: this.first, distances: this.distances.cells };
  }
}

/** A DMA mapping that is in use. */
interface Live {
  readonly by: number;
  readonly since: number;
  readonly space: number;
  readonly iova: number;
  accesses: number;
}

/** An mmap that is in use: half-open, in ascending order in its space. */
interface Area {
  readonly first: number;
  readonly end: number;
  readonly since: number;
}

class Profile {
  private readonly data = new Uses();
  private readonly fetch = new Uses();
  private readonly device = new Uses();
  private readonly blocks = new Map<number, number>();
  private readonly changes = new Map<string, { count: number; pages: number }>();
  private readonly mappingPages = new Counts();
  private readonly areas: Area[][] = [];
  private readonly areaSpans = new Counts();
  private readonly live = new Map<number, Live>();
  private readonly mapSpans = new Counts();
  private readonly mapUses = new Counts();
  private unknownSpans = 0;
  private readonly iovas = new Map<number, number>();
  private readonly clocks: number[];

  constructor(private readonly isDevice: readonly boolean[]) {
    this.clocks = isDevice.map(() => 0);
  }

  take(chunk: Chunk): void {
    for (const { space, vpn } of chunk.pages) this.use(space, vpn);
    let { agent } = chunk;
    for (let i = 0; i < chunk.records; i++) {
      const head = chunk.heads[i]!;
      const op = head & HEAD_OP;
      if (op === HEAD_EVENT) {
        const event = chunk.events[head >>> HEAD_SHIFT]!;
        if (event.op === 'switch') agent = event.agent;
        else this.event(event);
        continue;
      }
      const own = op === FETCH ? 1 : 0;
      const data = this.isDevice[agent] ? this.device : this.data;
      (own === 1 ? this.fetch : data).touch(agent, head >>> HEAD_SHIFT);
      this.fetch.again(chunk.runFetches[i]! - own);
      data.again(chunk.runDatas[i]! - 1 + own);
    }
  }

  result(): TraceProfile {
    const blocks = new Counts();
    for (const pages of this.blocks.values()) blocks.add(pages, pages);
    const reuse = [this.data.result('data'), this.fetch.result('fetch'), this.device.result('device')];
    const changes = [...this.changes].map(([event, { count, pages }]): Change => ({ event, count, pages }));
    return {
      blocks: blocks.cells,
      reuse: reuse.filter(({ accesses }) => accesses > 0),
      changes: changes.sort((a, b) => b.count - a.count),
      mappingPages: this.mappingPages.cells,
      lifetimes: this.lifetimes().filter(({ ended, open }) => ended + open > 0),
    };
  }

  private lifetimes(): Lifetimes[] {
    const open = this.areas.reduce((sum, areas) => sum + areas.length, 0);
    const rows: [Lifetimes['of'], Lifetimes['unit'], Counts, number][] = [
      ['mmap', 'accesses', this.areaSpans, open],
      ['map', 'ns', this.mapSpans, this.live.size + this.unknownSpans],
      ['map', 'device accesses', this.mapUses, this.live.size],
    ];
    return rows.map(([of, unit, { cells }, left]) => {
      return { of, unit, ended: cells.reduce((sum, count) => sum + count, 0), open: left, spans: cells };
    });
  }

  private use(space: number, vpn: number): void {
    const key = placeKey(space, Math.floor(vpn / BLOCK));
    this.blocks.set(key, (this.blocks.get(key) ?? 0) + 1);
  }

  private event({ op, agent, gap, fields }: TraceEvent): void {
    this.clocks[agent]! += gap;
    const [first, second, third, , fifth, sixth] = fields as [number, number, number, number, number, number];
    if (MM_EVENTS.has(op)) {
      // The end of a child has no range.
      const pages = third === undefined ? 0 : Math.abs(third - second);
      this.change(op === 'brk' && third < second ? 'brk, shrinking' : op, pages);
      this.area(op, fields);
    } else if (op === 'map') {
      this.change('map', third);
      this.mappingPages.add(third);
      const since = this.clocks[agent]!;
      this.live.set(second, { by: agent, since, space: first, iova: sixth, accesses: 0 });
    } else if (op === 'unmap') this.unmap(agent, second, third);
    else if (op === 'dma') this.dma(agent, first, second, fifth !== 0);
    else if (op === 'dmaRaw') this.device.touch(agent, this.iova(first, second));
    else if (op === 'activate' || op === 'deactivate' || op === 'attach') this.change(op, 0);
  }

  private change(event: string, pages: number): void {
    const known = this.changes.get(event);
    if (known) {
      known.count++;
      known.pages += pages;
    } else this.changes.set(event, { count: 1, pages });
  }

  private unmap(agent: number, first: number, instances: number): void {
    this.change('unmap', 0);
    // A hostile count names more instances than there are: only those that are live have an end.
    for (let id = first; id < first + instances && this.live.size > 0; id++) {
      const mapping = this.live.get(id);
      if (!mapping) break;
      this.live.delete(id);
      this.mapUses.add(mapping.accesses);
      if (mapping.by === agent) this.mapSpans.add((this.clocks[agent]! - mapping.since) / PS_PER_NS);
      else this.unknownSpans++;
    }
  }

  private dma(agent: number, id: number, page: number, late: boolean): void {
    const mapping = this.live.get(id);
    // Behind its unmap it uses a translation that is gone.
    if (late || !mapping) return;
    mapping.accesses++;
    this.device.touch(agent, this.iova(mapping.space, mapping.iova + page));
  }

  /** A dense id of a page of a domain. */
  private iova(space: number, page: number): number {
    const key = placeKey(space, page);
    const known = this.iovas.get(key);
    if (known !== undefined) return known;
    this.iovas.set(key, this.iovas.size);
    return this.iovas.size - 1;
  }

  private area(op: string, fields: readonly number[]): void {
    const [space, first, end, newFirst, newEnd] = fields as [number, number, number, number, number];
    const now = this.data.accesses + this.fetch.accesses;
    if (op === 'mmap') {
      this.cut(space, first, end, now);
      this.add(space, { first, end, since: now });
    } else if (op === 'munmap') this.cut(space, first, end, now);
    else if (op === 'mremap') {
      this.cut(space, first, end, now);
      this.add(space, { first: newFirst, end: newEnd, since: now });
    }
  }

  private add(space: number, area: Area): void {
    this.areas[space] ??= [];
    const areas = this.areas[space];
    areas.splice(firstBehind(areas, area.first), 0, area);
  }

  /** Ends what lies in `from`..`to`; what sticks out goes on. */
  private cut(space: number, from: number, to: number, now: number): void {
    this.areas[space] ??= [];
    const areas = this.areas[space];
    const at = firstBehind(areas, from);
    let behind = at;
    const rest: Area[] = [];
    for (; behind < areas.length && areas[behind]!.first < to; behind++) {
      const { first, end, since } = areas[behind]!;
      this.areaSpans.add(now - since);
      if (first < from) rest.push({ first, end: from, since });
      if (end > to) rest.push({ first: to, end, since });
    }
    if (behind > at) areas.splice(at, behind - at, ...rest);
  }
}

/** A page of a space as one number: at most 256 spaces of 2^45 pages. */
function placeKey(space: number, page: number): number {
  return space * 2 ** 45 + page;
}

/** Index of the first area that ends above `page`. */
function firstBehind(areas: readonly Area[], page: number): number {
  let low = 0;
  let high = areas.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (areas[middle]!.end > page) high = middle;
    else low = middle + 1;
  }
  return low;
}

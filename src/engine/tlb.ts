import { UsageError } from '../model/errors.ts';
import { CHUNK_RECORDS } from '../model/limits.ts';
import { type TlbConfig, type TlbResult, unitOf } from '../model/tlb.ts';
import { ADVICE, MAP_FLAG, type TraceEvent, type TraceMeta } from '../model/trace.ts';
import { PAGE_SHIFT } from '../model/units.ts';
import { type Chunk, HEAD_EVENT, HEAD_OP, HEAD_SHIFT } from '../trace/format.ts';
import { PageIndex } from '../trace/pages.ts';
import { encodeReplacement, numbersOf } from './encode.ts';
import { type Instance, instantiate } from './load.ts';

/** What the module exports for `tlb`; see assembly/tlb.ts. */
interface TlbExports {
  tlbInit(ids: number, ...settings: number[]): number;
  tlbCountsRuns(): number;
  tlbPlace(page: number, id: number, crosses: number, l1iSet: number, l1dSet: number, l2Set: number): void;
  tlbRun(from: number, count: number): number;
  tlbInvalidate(level: number, id: number): number;
  tlbMisses(level: number): number;
  tlbDropped(level: number): number;
  tlbPages(): number;
}

const LEVELS = ['l1i', 'l1d', 'l2'] as const;
const NONE = -1;

/** Pure TLB statistics of one trace under one geometry, fed chunk by chunk. */
export class TlbEngine {
  private readonly instance: Instance<TlbExports>;
  private readonly heads: number;
  /** Whether the loop wants the counts of records, which stand behind the heads. */
  private readonly countsRuns: boolean;
  private readonly index = new PageIndex();
  /** Page id -> id of the page of the size in use; identity at 4 KiB. */
  private readonly units: number[] = [];
  private readonly unitIds = new Map<string, number>();
  private readonly misses = { l1i: 0, l1d: 0, l2: 0 };
  private readonly invalidated = { l1i: 0, l1d: 0, l2: 0 };
  private fetches = 0;
  private datas = 0;
  /** Whose runs these are; NONE before the first. */
  private runAgent = NONE;

  constructor(
    module: WebAssembly.Module,
    private readonly config: TlbConfig,
    private readonly meta: TraceMeta,
  ) {
    this.instance = instantiate<TlbExports>(module);
    const { l1i, l1d, l2 } = config;
    const ids = Math.max(1, meta.counts.pages);
    const numbers = numbersOf(this.instance.exports);
    const caches = [l1i, l1d, l2].flatMap(({ sets, ways, replacement }) => [
      sets,
      ways,
      encodeReplacement(replacement, numbers),
    ]);
    const flags = [config.invalidate !== 'none', config.dataOnly, config.straddle === 'one'].map(Number);
    try {
      this.heads = this.instance.exports.tlbInit(ids, ...caches, config.seed, ...flags);
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      throw new UsageError(`${ids} pages and these geometries need more memory than an engine may have (2 GiB)`);
    }
    this.countsRuns = this.instance.exports.tlbCountsRuns() !== 0;
  }

  feed(chunk: Chunk): void {
    this.checkAgents(chunk);
    this.addPages(chunk);
    const { exports, memory } = this.instance;
    new Uint32Array(memory.buffer, this.heads, chunk.records).set(chunk.heads);
    if (this.countsRuns) {
      new Uint16Array(memory.buffer, this.heads + CHUNK_RECORDS * 4, chunk.records).set(chunk.runFetches);
      new Uint16Array(memory.buffer, this.heads + CHUNK_RECORDS * 6, chunk.records).set(chunk.runDatas);
    }
    for (let at = 0; ; at++) {
      at = exports.tlbRun(at, chunk.records);
      if (at === chunk.records) break;
      this.apply(chunk.events[chunk.heads[at]! >>> HEAD_SHIFT]!);
    }
    if (!this.config.dataOnly) this.fetches += chunk.fetches - exports.tlbDropped(LEVELS.indexOf('l1i'));
    this.datas += chunk.datas - exports.tlbDropped(LEVELS.indexOf('l1d'));
    LEVELS.forEach((level, i) => {
      this.misses[level] += exports.tlbMisses(i);
    });
  }

  result(): TlbResult {
    const { misses, invalidated } = this;
    const level = (name: (typeof LEVELS)[number], accesses: number) => ({
      accesses,
      misses: misses[name],
      invalidated: invalidated[name],
    });
    return {
      l1d: level('l1d', this.datas),
      l1i: level('l1i', this.fetches),
      l2: level('l2', this.config.l2.sets === 0 ? 0 : misses.l1i + misses.l1d),
      pages: this.instance.exports.tlbPages(),
    };
  }

  private addPages(chunk: Chunk): void {
    const { l1i, l1d, l2, pageShift } = this.config;
    const perUnit = 2 ** (pageShift - PAGE_SHIFT);
    for (const { space, vpn } of chunk.pages) {
      const unit = unitOf(vpn, pageShift);
      const key = `${space}:${unit}`;
      let id = pageShift === PAGE_SHIFT ? this.units.length : this.unitIds.get(key);
      if (id === undefined) {
        id = this.unitIds.size;
        this.unitIds.set(key, id);
      }
      // A second half begins a page; it leaves the unit only where its page is the first of one.
      const crosses = vpn % perUnit === 0 ? 1 : 0;
      const sets = [unit % l1i.sets, unit % l1d.sets, l2.sets === 0 ? 0 : unit % l2.sets] as const;
      this.instance.exports.tlbPlace(this.units.length, id, crosses, ...sets);
      this.units.push(id);
    }
    this.index.add(chunk.pages);
  }

  /** One cache that several agents share sees the accesses inside a merged run: they are not all hits. */
  private checkAgents({ heads, events, agent: first }: Chunk): void {
    if (this.meta.interleaved) return;
    const run = heads.findIndex((head) => (head & HEAD_OP) !== HEAD_EVENT);
    if (run === -1) return;
    const agent = events.slice(0, run).findLast((event) => event.op === 'switch')?.agent ?? first;
    if (this.runAgent === NONE) this.runAgent = agent;
    if (agent === this.runAgent && events.every((event) => event.op !== 'switch' || event.agent === agent)) return;
    throw new UsageError(
      'the runs of several agents are merged, which one shared TLB cannot replay: import with --interleave',
    );
  }

  private apply(event: TraceEvent): void {
    const range = invalidatedRange(event, this.config.invalidate);
    if (range === undefined) return;
    const perUnit = 2 ** (this.config.pageShift - PAGE_SHIFT);
    const first = Math.floor(range.first / perUnit) * perUnit;
    const end = Math.ceil(range.end / perUnit) * perUnit;
    for (const unit of new Set(this.index.inRange(range.space, first, end).map((page) => this.units[page]!))) {
      LEVELS.forEach((level, i) => {
        this.invalidated[level] += this.instance.exports.tlbInvalidate(i, unit);
      });
    }
  }
}

/** The pages that an address-space change takes away or changes, under `--invalidate`. */
export function invalidatedRange(
  event: TraceEvent,
  invalidate: TlbConfig['invalidate'],
): { space: number; first: number; end: number } | undefined {
  const [space, first, end, , last] = event.fields as [number, number, number, number, number];
  const range = { space, first, end };
  switch (event.op) {
    case 'munmap':
    case 'mremap':
      return range;
    case 'mprotect':
      return invalidate === 'all' ? range : undefined;
    case 'madvise':
      return event.fields[3] === ADVICE.dontneed ? range : undefined;
    case 'mmap':
      return (last & MAP_FLAG.fixed) !== 0 ? range : undefined;
    default:
      return undefined;
  }
}

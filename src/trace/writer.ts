import { TraceError } from '../model/errors.ts';
import { CHUNK_RECORDS, MAX_AGENTS, MAX_PAGES, MAX_RUN, MAX_VPN } from '../model/limits.ts';
import {
  EVENTS,
  type EventName,
  type ImportTally,
  MM_EVENTS,
  NO_COUNTS,
  type Outcome,
  type OutcomeKind,
  RUN_OPS,
  type Run,
  SCHEDULED_EVENTS,
  type TraceAgent,
  type TraceCounts,
  type TraceEvent,
  type TraceMeta,
  type TracePage,
  type TraceSchedule,
  type TraceSource,
  type TraceSpace,
} from '../model/trace.ts';
import {
  CHUNK_KINDS,
  type ChunkHeader,
  type ChunkKind,
  type Codec,
  checksum,
  columnBytes,
  END_MAGIC,
  encodeChunkHeader,
  encodeOutcomes,
  encodeTail,
  HEAD_EVENT,
  HEAD_SHIFT,
  HEAD_STRADDLE,
  HEADER_BYTES,
  MAGIC,
  MAX_FIELD,
  TRAILER_BYTES,
  VERSION,
} from './format.ts';

/** Where bytes go, in order. */
export interface ByteSink {
  write(bytes: Uint8Array): void;
}

/** Access kinds of `TraceWriter.access`: indices into `RUN_OPS`. */
export const FETCH = 0;
export const READ = 1;
export const WRITE = 2;

const NONE = -1;
/** Outcomes of one chunk. */
const CHUNK_OUTCOMES = 1 << 15;

/** Columns of records: page numbers, access kind and `HEAD_STRADDLE`, counts. */
export interface RunColumns {
  readonly pages: Float64Array;
  readonly heads: Uint8Array;
  readonly fetches: Uint16Array;
  readonly datas: Uint16Array;
}

/** The open runs of one agent. */
interface Open {
  space: number;
  /** Index in the chunk of the agent's last record, whose counts still grow; NONE after an event or a chunk's end. */
  record: number;
  fetchPage: number;
  dataPage: number;
  /** The open data run began with a write. */
  dataWrites: boolean;
}

/** Facts about a source that only its importer knows, given when the trace is finished. */
export interface Provenance {
  readonly source: TraceSource;
  readonly tally: ImportTally;
  readonly inferred: readonly string[];
}

/** Streams a trace: accesses and events in, chunks out. Memory is one chunk and the table of pages. */
export class TraceWriter {
  private readonly agents: TraceAgent[] = [];
  private readonly spaces: TraceSpace[] = [];
  private readonly pageIds: Map<number, Int32Array>[] = [];
  private readonly open: Open[] = [];

  private heads = new Uint32Array(CHUNK_RECORDS);
  private fetches = new Uint16Array(CHUNK_RECORDS);
  private datas = new Uint16Array(CHUNK_RECORDS);
  private records = 0;
  private events: TraceEvent[] = [];
  private pages: TracePage[] = [];
  private straddledFetches = 0;
  private straddledDatas = 0;
  private firstAgent = 0;
  private currentAgent = 0;

  private outcomes: Outcome[] = [];
  private offset = 0;
  private lastTable: Int32Array | undefined;
  private lastTableKey = NONE;
  private lastTableSpace = NONE;
  private readonly counts: { -readonly [count in keyof TraceCounts]: number } = { ...NO_COUNTS };

  /** Of a scheduled trace, before its first event. */
  schedule: TraceSchedule | undefined;

  /** `interleaved`: no merging, every access a record; for machines whose first level is unified or inclusive. */
  constructor(
    private readonly sink: ByteSink,
    private readonly codec: Codec,
    public interleaved = false,
  ) {
    const header = new Uint8Array(HEADER_BYTES);
    header.set(new TextEncoder().encode(MAGIC));
    new DataView(header.buffer).setUint32(8, VERSION, true);
    this.put(header);
  }

  space(name: string, kind: TraceSpace['kind']): number {
    if (this.spaces.length >= MAX_AGENTS)
      throw new TraceError(name, `is space ${MAX_AGENTS + 1}, expected at most ${MAX_AGENTS}`);
    this.pageIds.push(new Map());
    return this.spaces.push({ name, kind }) - 1;
  }

  agent(name: string, kind: TraceAgent['kind'], space: number): number {
    if (this.agents.length >= MAX_AGENTS)
      throw new TraceError(name, `is agent ${MAX_AGENTS + 1}, expected at most ${MAX_AGENTS}`);
    this.open.push({ space, record: NONE, fetchPage: NONE, dataPage: NONE, dataWrites: false });
    return this.agents.push({ name, kind, space }) - 1;
  }

  /** One access by `agent` to page `vpn`, `kind` FETCH, READ or WRITE. Continues the open run where it can. */
  access(agent: number, kind: number, vpn: number, straddle: boolean): void {
    const open = this.open[agent]!;
    const page = this.pageId(open.space, vpn);
    if (kind === FETCH) {
      if (page !== open.fetchPage || straddle || this.interleaved || !this.grow(this.fetches, open)) {
        this.start(agent, open, kind, page, straddle);
        open.fetchPage = straddle ? NONE : page;
      }
      return;
    }
    const goesOn = page === open.dataPage && (kind === READ || open.dataWrites);
    if (!goesOn || straddle || this.interleaved || !this.grow(this.datas, open)) {
      this.start(agent, open, kind, page, straddle);
      open.dataPage = straddle ? NONE : page;
      open.dataWrites = kind === WRITE;
    }
  }

  /** One access to page `vpn` and, where it crosses page borders, to the `more` pages behind it. */
  touch(agent: number, kind: number, vpn: number, more: number): void {
    this.access(agent, kind, vpn, false);
    for (let page = 1; page <= more; page++) this.access(agent, kind, vpn + page, true);
  }

  /** How many more accesses of a kind can go on in the agent's last record: 0 if no run of the kind is open. */
  room(agent: number, kind: number): number {
    const { record, fetchPage, dataPage } = this.open[agent]!;
    if (this.interleaved || record === NONE || (kind === FETCH ? fetchPage : dataPage) === NONE) return 0;
    return MAX_RUN - (kind === FETCH ? this.fetches : this.datas)[record]!;
  }

  /** So many more accesses of the agent's open runs, at most as many as there is room for. */
  goOn(agent: number, fetches: number, datas: number): void {
    const { record } = this.open[agent]!;
    this.fetches[record]! += fetches;
    this.datas[record]! += datas;
  }

  /** A run as it stands in another trace: nothing is merged. */
  run(agent: number, vpn: number, run: Omit<Run, 'page'>): void {
    const open = this.open[agent]!;
    const fetch = run.op === 'fetch';
    const page = this.pageId(open.space, vpn);
    this.start(agent, open, RUN_OPS.indexOf(run.op), page, run.straddle);
    if (fetch) open.fetchPage = run.straddle ? NONE : page;
    else open.dataPage = run.straddle ? NONE : page;
    const own = fetch ? run.fetches : run.datas;
    if (own < 1 || own > (run.straddle ? 1 : MAX_RUN))
      throw new TraceError(`run of page ${page}`, `has ${own} accesses`);
    if (fetch ? run.datas !== 0 && open.dataPage === NONE : run.fetches !== 0 && open.fetchPage === NONE) {
      throw new TraceError(`run of page ${page}`, `continues a ${fetch ? 'data' : 'fetch'} run that is not open`);
    }
    this.fetches[open.record] = run.fetches;
    this.datas[open.record] = run.datas;
    open.record = NONE;
  }

  /** Records that the agent's chunk in hand has room for. */
  get left(): number {
    return CHUNK_RECORDS - 1 - this.records;
  }

  /**
   * The first `records` of `columns`: runs of an agent, alone in its recording, which the engine merged by the rules of
   * `access` and ended with the chunk.
   */
  merged(agent: number, columns: RunColumns, records: number): void {
    const open = this.open[agent]!;
    for (let i = 0; i < records; i++) {
      const page = this.pageId(open.space, columns.pages[i]!);
      this.reserve(agent);
      const head = columns.heads[i]!;
      const record = this.records++;
      this.heads[record] = ((page << HEAD_SHIFT) | head) >>> 0;
      this.fetches[record] = columns.fetches[i]!;
      this.datas[record] = columns.datas[i]!;
      if ((head & HEAD_STRADDLE) === 0) continue;
      if (head === (HEAD_STRADDLE | FETCH)) this.straddledFetches++;
      else this.straddledDatas++;
    }
    this.close(open);
  }

  /** Ends the agent's open runs and writes an event. `fields` in the order of `EVENTS[op]`; `gap` in picoseconds. */
  event(agent: number, op: Exclude<EventName, 'switch'>, fields: readonly number[], gap = 0): void {
    if (fields.length !== EVENTS[op].length || !isField(gap) || !fields.every(isField)) {
      throw new TraceError(
        `event ${op}`,
        `has fields ${fields.join(' ')}, expected ${EVENTS[op].join(' ')} in 0..2^52-1`,
      );
    }
    if (SCHEDULED_EVENTS.has(op) && this.schedule === undefined)
      throw new TraceError(`event ${op}`, 'stands in a trace without a schedule');
    const instance = (EVENTS[op] as readonly string[]).indexOf('instance');
    if (op !== 'map' && instance >= 0 && fields[instance]! >= this.counts.instances) {
      throw new TraceError(`event ${op}`, `names instance ${fields[instance]} of ${this.counts.instances}`);
    }
    this.close(this.open[agent]!);
    if (this.records + 2 > CHUNK_RECORDS) this.flush();
    if (this.records === 0) this.firstAgent = this.currentAgent = agent;
    this.pushEvent({ op, agent, gap, fields });
    this.count(op, fields);
  }

  /** Index of the last record written so far: what `outcome` refers to. */
  get lastRecord(): number {
    return this.counts.records + this.records - 1;
  }

  /** What the recorded machine did after `lastRecord`; goes to the section that engines are never given. */
  outcome(kind: OutcomeKind, line: number, values: readonly number[]): void {
    this.outcomes.push({ kind, record: this.lastRecord, line, values });
    if (this.outcomes.length === CHUNK_OUTCOMES) this.flushOutcomes();
  }

  /** Writes what is left, the meta chunk and the trailer. */
  finish(provenance: Provenance): TraceMeta {
    this.flush();
    this.flushOutcomes();
    const meta: TraceMeta = {
      format: 1,
      source: provenance.source,
      agents: this.agents,
      spaces: this.spaces,
      counts: this.counts,
      tally: provenance.tally,
      interleaved: this.interleaved,
      ...(this.schedule && { schedule: this.schedule }),
      inferred: provenance.inferred,
    };
    const at = this.offset;
    this.chunk('meta', new TextEncoder().encode(JSON.stringify(meta)), {});
    const trailer = new Uint8Array(TRAILER_BYTES);
    new DataView(trailer.buffer).setBigUint64(0, BigInt(at), true);
    trailer.set(new TextEncoder().encode(END_MAGIC), 8);
    this.put(trailer);
    return meta;
  }

  /** One more access in the agent's last record; false if there is none, or its count is full. */
  private grow(column: Uint16Array, open: Open): boolean {
    if (open.record === NONE || column[open.record] === MAX_RUN) return false;
    column[open.record]!++;
    return true;
  }

  /** A record of one access. */
  private start(agent: number, open: Open, op: number, page: number, straddle: boolean): void {
    this.reserve(agent);
    open.record = this.records++;
    this.heads[open.record] = ((page << HEAD_SHIFT) | (straddle ? HEAD_STRADDLE : 0) | op) >>> 0;
    this.fetches[open.record] = op === FETCH ? 1 : 0;
    this.datas[open.record] = op === FETCH ? 0 : 1;
    if (straddle && op === FETCH) this.straddledFetches++;
    else if (straddle) this.straddledDatas++;
  }

  /** Room for a record of `agent`: a new chunk if this one is full, a `switch` if another agent's record is the last. */
  private reserve(agent: number): void {
    if (this.records + 2 > CHUNK_RECORDS) this.flush();
    if (this.records === 0) this.firstAgent = this.currentAgent = agent;
    if (agent === this.currentAgent) return;
    this.pushEvent({ op: 'switch', agent, gap: 0, fields: [] });
    this.currentAgent = agent;
  }

  private pushEvent(event: TraceEvent): void {
    this.heads[this.records] = ((this.events.length << HEAD_SHIFT) | HEAD_EVENT) >>> 0;
    this.fetches[this.records] = 0;
    this.datas[this.records] = 0;
    this.records++;
    this.events.push(event);
  }

  private close(open: Open): void {
    open.record = open.fetchPage = open.dataPage = NONE;
  }

  private pageId(space: number, vpn: number): number {
    const key = Math.floor(vpn / 512);
    let table = this.lastTable;
    if (key !== this.lastTableKey || space !== this.lastTableSpace || table === undefined) {
      table = this.tableOf(space, key, vpn);
      this.lastTable = table;
      this.lastTableKey = key;
      this.lastTableSpace = space;
    }
    const slot = vpn - key * 512;
    const known = table[slot]!;
    if (known !== 0) return known - 1;
    const id = this.counts.pages++;
    if (id >= MAX_PAGES)
      throw new TraceError(`page ${vpn.toString(16)}`, `is page ${id + 1}, expected at most ${MAX_PAGES}`);
    table[slot] = id + 1;
    this.pages.push({ space, vpn });
    return id;
  }

  private tableOf(space: number, key: number, vpn: number): Int32Array {
    if (!(vpn >= 0 && vpn <= MAX_VPN)) throw new TraceError(`page ${vpn}`, 'is outside 0..2^45-1');
    const tables = this.pageIds[space]!;
    let table = tables.get(key);
    if (table === undefined) {
      table = new Int32Array(512);
      tables.set(key, table);
      this.counts.tables++;
    }
    return table;
  }

  private count(op: EventName, fields: readonly number[]): void {
    if (op === 'dma' || op === 'dmaRaw') this.counts.dma++;
    else if (op === 'unmap') this.counts.unmaps++;
    else if (op === 'map') {
      this.counts.maps++;
      this.counts.instances = Math.max(this.counts.instances, fields[1]! + 1);
    } else if (MM_EVENTS.has(op)) this.counts.mmOps++;
  }

  /** Writes the chunk in hand, if it has records. All open runs end. */
  private flush(): void {
    if (this.records === 0) return;
    const n = this.records;
    const tail = encodeTail(this.pages, this.events);
    const raw = new Uint8Array(columnBytes(n) + tail.length);
    raw.set(new Uint8Array(this.heads.buffer, 0, n * 4));
    raw.set(new Uint8Array(this.fetches.buffer, 0, n * 2), n * 4);
    raw.set(new Uint8Array(this.datas.buffer, 0, n * 2), n * 6);
    raw.set(tail, columnBytes(n));
    const sums = { fetches: sum(this.fetches, n), datas: sum(this.datas, n) };
    const straddles = { straddledFetches: this.straddledFetches, straddledDatas: this.straddledDatas };
    const lists = { events: this.events.length, pages: this.pages.length };
    this.chunk('records', raw, { records: n, agent: this.firstAgent, ...lists, ...sums, ...straddles });
    this.counts.records += n;
    this.counts.events += this.events.length;
    this.counts.fetches += sums.fetches;
    this.counts.datas += sums.datas;
    this.counts.straddledFetches += this.straddledFetches;
    this.counts.straddledDatas += this.straddledDatas;
    this.records = this.straddledFetches = this.straddledDatas = 0;
    this.events = [];
    this.pages = [];
    for (const open of this.open) this.close(open);
  }

  private flushOutcomes(): void {
    if (this.outcomes.length === 0) return;
    this.chunk('outcomes', encodeOutcomes(this.outcomes), { records: this.outcomes.length });
    this.outcomes = [];
  }

  private chunk(kind: ChunkKind, raw: Uint8Array, rest: Partial<ChunkHeader>): void {
    const stored = this.codec.compress(raw);
    const empty = {
      records: 0,
      events: 0,
      pages: 0,
      agent: 0,
      fetches: 0,
      datas: 0,
      straddledFetches: 0,
      straddledDatas: 0,
    };
    const sizes = { kind: CHUNK_KINDS.indexOf(kind), stored: stored.length, raw: raw.length, crc: 0 };
    const header = { ...empty, ...rest, ...sizes };
    this.put(encodeChunkHeader({ ...header, crc: checksum(header, raw, this.codec) }));
    this.put(stored);
  }

  private put(bytes: Uint8Array): void {
    this.sink.write(bytes);
    this.offset += bytes.length;
  }
}

function sum(column: Uint16Array, n: number): number {
  let total = 0;
  for (let i = 0; i < n; i++) total += column[i]!;
  return total;
}

function isField(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_FIELD;
}

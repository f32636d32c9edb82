import { TraceError } from '../model/errors.ts';
import { CHUNK_RECORDS, MAX_CHUNK_BYTES, MAX_PAGES, MAX_VPN } from '../model/limits.ts';
import {
  EVENT_NAMES,
  EVENTS,
  type EventName,
  OUTCOMES,
  type Outcome,
  type OutcomeKind,
  type TraceEvent,
  type TracePage,
} from '../model/trace.ts';

/**
 * The binary trace, byte for byte. traces/FORMAT.md describes it for readers in other languages; nothing here touches
 * a file.
 *
 *   file     header, chunk*, trailer                                            all integers little endian
 *   header   magic "iommtrc\n", u32 version, u32 0
 *   chunk    u32[12] (CHUNK_FIELDS), payload of `stored` bytes, brotli of `raw` bytes
 *   trailer  u64 offset of the meta chunk, magic "iommend\n"
 *
 * The payload of an access chunk is three fixed-width columns, which the engine takes as they are, and after them
 * varints: new pages, then events by column.
 */
export const MAGIC = 'iommtrc\n';
export const END_MAGIC = 'iommend\n';
export const VERSION = 1;
export const HEADER_BYTES = 16;
export const CHUNK_HEADER_BYTES = 48;
export const TRAILER_BYTES = 16;

export const CHUNK_KINDS = ['records', 'outcomes', 'meta'] as const;
export type ChunkKind = (typeof CHUNK_KINDS)[number];

/** The header of a chunk, in order. `crc` is the CRC-32 (as in gzip) of the header with `crc` 0, then the raw payload. */
export const CHUNK_FIELDS = [
  'kind',
  'stored',
  'raw',
  'crc',
  'records',
  'events',
  'pages',
  'agent',
  'fetches',
  'datas',
  'straddledFetches',
  'straddledDatas',
] as const;
/** The fields of a chunk's header by name. */
export type ChunkHeader = Record<(typeof CHUNK_FIELDS)[number], number>;

/**
 * Head of a record, one u32:
 *
 *   31 ──────── 5   4          3 ── 0
 *   page or event   straddle   op
 *
 * op 0..2 is a run (`RUN_OPS`); op 3 an event, the upper bits its index among the chunk's events.
 */
export const HEAD_SHIFT = 5;
export const HEAD_STRADDLE = 16;
export const HEAD_OP = 15;
export const HEAD_EVENT = 3;

/** What one chunk of records holds, decoded. The columns are views of one buffer. */
export interface Chunk extends Omit<ChunkHeader, 'records' | 'events' | 'pages'> {
  readonly records: number;
  /** u32[records], see above. */
  readonly heads: Uint32Array;
  /** u16[records]: fetches and data accesses from this record to the agent's next. */
  readonly runFetches: Uint16Array;
  readonly runDatas: Uint16Array;
  readonly events: readonly TraceEvent[];
  /** Pages first used in this chunk, in the order of their ids. */
  readonly pages: readonly TracePage[];
}

/** Decompression and checksum, from outside: `node:zlib`, or what there is in a browser. */
export interface Decoder {
  /** Throws if the bytes do not expand to exactly `raw` bytes. */
  decompress(bytes: Uint8Array, raw: number): Uint8Array;
  /** CRC-32 of `bytes`, going on from the CRC-32 of what came before them. */
  crc32(bytes: Uint8Array, before?: number): number;
}

/** What a trace is written with. */
export interface Codec extends Decoder {
  compress(bytes: Uint8Array): Uint8Array;
}

/** Largest value of a field, and of think time; twice it is exact in a double. */
export const MAX_FIELD = 2 ** 52 - 1;

/** Growing buffer of varints: 7 bits a byte, low first. */
export class VarintWriter {
  bytes = new Uint8Array(1 << 12);
  length = 0;

  /** 0 <= value < 2^53. */
  put(value: number): void {
    if (this.length + 8 > this.bytes.length) this.grow();
    let rest = value;
    while (rest >= 128) {
      this.bytes[this.length++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.length++] = rest;
  }

  /** |value| < 2^52. */
  putSigned(value: number): void {
    this.put(value < 0 ? -2 * value - 1 : 2 * value);
  }

  view(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  private grow(): void {
    const bytes = new Uint8Array(this.bytes.length * 2);
    bytes.set(this.bytes);
    this.bytes = bytes;
  }
}

/** Reads what `VarintWriter` wrote; `place` names the chunk in errors. */
export class VarintReader {
  constructor(
    private readonly bytes: Uint8Array,
    private at: number,
    private readonly place: string,
  ) {}

  get(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new TraceError(this.place, 'ends inside a number');
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (value <= Number.MAX_SAFE_INTEGER) return value;
        break;
      }
      scale *= 128;
    }
    throw new TraceError(this.place, 'has a number above 2^53-1');
  }

  getSigned(): number {
    const value = this.get();
    return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
  }

  /** A number below `bound`, or an error that says `what` it was. */
  getBelow(bound: number, what: string): number {
    const value = this.get();
    if (value >= bound) throw new TraceError(this.place, `${what} is ${value}, expected less than ${bound}`);
    return value;
  }

  end(): void {
    if (this.at !== this.bytes.length) {
      throw new TraceError(this.place, `${this.bytes.length - this.at} bytes are left after the last column`);
    }
  }
}

/** Pages and events of a chunk as varint columns: everything behind the fixed-width columns. */
export function encodeTail(pages: readonly TracePage[], events: readonly TraceEvent[]): Uint8Array {
  const out = new VarintWriter();
  let vpn = 0;
  for (const page of pages) {
    out.put(page.space);
    out.putSigned(page.vpn - vpn);
    vpn = page.vpn;
  }
  for (const event of events) out.put(EVENT_NAMES.indexOf(event.op));
  for (const event of events) out.put(event.agent);
  for (const event of events) out.put(event.gap);
  for (const op of EVENT_NAMES) {
    const same = events.filter((event) => event.op === op);
    EVENTS[op].forEach((_, field) => {
      let last = 0;
      for (const event of same) {
        out.putSigned(event.fields[field]! - last);
        last = event.fields[field]!;
      }
    });
  }
  return out.view();
}

/** Bytes of the fixed-width columns of `records` records. */
export function columnBytes(records: number): number {
  return records * 8;
}

/** Payload of a records chunk back to columns, pages and events. Checks every number it reads. */
export function decodeRecords(header: ChunkHeader, payload: Uint8Array, bounds: Bounds, place: string): Chunk {
  const { records } = header;
  if (payload.length < columnBytes(records)) throw new TraceError(place, `is too short for its ${records} records`);
  const tail = new VarintReader(payload, columnBytes(records), place);
  const pages = decodePages(header, bounds, tail, place);
  const events = decodeEvents(header.events, bounds, tail, place);
  tail.end();
  const chunk: Chunk = {
    ...header,
    records,
    heads: new Uint32Array(payload.buffer, payload.byteOffset, records),
    runFetches: new Uint16Array(payload.buffer, payload.byteOffset + records * 4, records),
    runDatas: new Uint16Array(payload.buffer, payload.byteOffset + records * 6, records),
    events,
    pages,
  };
  checkColumns(chunk, bounds, bounds.pagesBefore + pages.length, place);
  return chunk;
}

/** What the rest of the file allows a chunk to name. */
export interface Bounds {
  readonly agents: number;
  readonly spaces: number;
  readonly instances: number;
  /** Pages of the chunks before this one. */
  readonly pagesBefore: number;
}

function decodePages(header: ChunkHeader, bounds: Bounds, tail: VarintReader, place: string): TracePage[] {
  const pages: TracePage[] = [];
  let vpn = 0;
  for (let i = 0; i < header.pages; i++) {
    const space = tail.getBelow(bounds.spaces, 'space of a page');
    vpn += tail.getSigned();
    if (vpn < 0 || vpn > MAX_VPN) throw new TraceError(place, `page number ${vpn} is outside 0..2^45-1`);
    pages.push({ space, vpn });
  }
  return pages;
}

function decodeEvents(count: number, bounds: Bounds, tail: VarintReader, place: string): TraceEvent[] {
  const ops: EventName[] = [];
  for (let i = 0; i < count; i++) ops.push(EVENT_NAMES[tail.getBelow(EVENT_NAMES.length, 'event code')]!);
  const agents = ops.map(() => tail.getBelow(bounds.agents, 'agent of an event'));
  const gaps = ops.map(() => tail.getBelow(MAX_FIELD + 1, 'think time'));
  const fields: number[][] = ops.map((op) => new Array<number>(EVENTS[op].length).fill(0));
  for (const op of EVENT_NAMES) {
    EVENTS[op].forEach((name, field) => {
      let last = 0;
      for (let i = 0; i < count; i++) {
        if (ops[i] !== op) continue;
        last += tail.getSigned();
        const bound = name === 'space' ? bounds.spaces : name === 'instance' ? bounds.instances : MAX_FIELD + 1;
        if (last < 0 || last >= bound) {
          throw new TraceError(place, `${name} of a ${op} event is ${last}, expected 0..${bound - 1}`);
        }
        fields[i]![field] = last;
      }
    });
  }
  return ops.map((op, i) => ({ op, agent: agents[i]!, gap: gaps[i]!, fields: fields[i]! }));
}

/** One pass over the columns: pages known, runs open that go on, events in order, counts equal to the header's. */
function checkColumns(chunk: Chunk, bounds: Bounds, pages: number, place: string): void {
  const { heads, runFetches, runDatas, events } = chunk;
  const bad = (i: number, what: string): never => {
    throw new TraceError(place, `record ${i} ${what}`);
  };
  // Per agent: the kinds of its open runs, 1 fetch, 2 data.
  const open = new Uint8Array(bounds.agents);
  let agent = chunk.agent;
  let event = 0;
  let fetches = 0;
  let datas = 0;
  let straddledFetches = 0;
  let straddledDatas = 0;
  for (let i = 0; i < heads.length; i++) {
    const head = heads[i]!;
    const op = head & HEAD_OP;
    const ofFetches = runFetches[i]!;
    const ofDatas = runDatas[i]!;
    if (op < HEAD_EVENT) {
      if (head >>> HEAD_SHIFT >= pages) bad(i, `names page ${head >>> HEAD_SHIFT} of ${pages}`);
      const straddle = (head & HEAD_STRADDLE) !== 0;
      const own = op === 0 ? ofFetches : ofDatas;
      if (own === 0 || (straddle && own !== 1)) bad(i, `is a run of ${own} accesses`);
      const kind = op === 0 ? 1 : 2;
      if ((op === 0 ? ofDatas : ofFetches) !== 0 && (open[agent]! & ~kind) === 0)
        bad(i, 'continues a run that is not open');
      if (!straddle) open[agent]! |= kind;
      else {
        open[agent]! &= ~kind;
        if (op === 0) straddledFetches++;
        else straddledDatas++;
      }
    } else {
      const next = head === ((event << HEAD_SHIFT) | HEAD_EVENT) >>> 0 ? events[event++] : undefined;
      if (next === undefined || ofFetches + ofDatas !== 0) {
        throw new TraceError(place, `record ${i} has head 0x${head.toString(16)}, expected a run or event ${event}`);
      }
      if (next.op === 'switch') agent = next.agent;
      else open[next.agent] = 0;
    }
    fetches += ofFetches;
    datas += ofDatas;
  }
  const counted = { events: event, fetches, datas, straddledFetches, straddledDatas };
  const stated = { ...chunk, events: events.length };
  for (const key of Object.keys(counted) as (keyof typeof counted)[]) {
    if (counted[key] !== stated[key]) {
      throw new TraceError(place, `has ${counted[key]} ${key}, its header says ${stated[key]}`);
    }
  }
}

/** Outcomes as varint columns. */
export function encodeOutcomes(outcomes: readonly Outcome[]): Uint8Array {
  const out = new VarintWriter();
  let record = 0;
  let line = 0;
  for (const outcome of outcomes) {
    out.put(OUTCOMES.indexOf(outcome.kind));
    out.putSigned(outcome.record - record);
    out.putSigned(outcome.line - line);
    out.put(outcome.values.length);
    for (const value of outcome.values) out.put(value);
    record = outcome.record;
    line = outcome.line;
  }
  return out.view();
}

/** Payload of an outcomes chunk; `records` is how many records the trace has. */
export function decodeOutcomes(count: number, payload: Uint8Array, records: number, place: string): Outcome[] {
  const tail = new VarintReader(payload, 0, place);
  const outcomes: Outcome[] = [];
  let record = 0;
  let line = 0;
  for (let i = 0; i < count; i++) {
    const kind: OutcomeKind = OUTCOMES[tail.getBelow(OUTCOMES.length, 'kind of an outcome')]!;
    record += tail.getSigned();
    line += tail.getSigned();
    if (record < (outcomes.at(-1)?.record ?? -1) || record >= records || line < 0) {
      throw new TraceError(place, `has an outcome of record ${record}, line ${line}; the trace has ${records} records`);
    }
    const values: number[] = [];
    for (let n = tail.getBelow(17, 'values of an outcome'); n > 0; n--) values.push(tail.get());
    outcomes.push({ kind, record, line, values });
  }
  tail.end();
  return outcomes;
}

/** The CRC-32 that belongs into a chunk's header: of the header with 0 in its place, then the raw payload. */
export function checksum(header: ChunkHeader, raw: Uint8Array, codec: Decoder): number {
  return codec.crc32(raw, codec.crc32(encodeChunkHeader({ ...header, crc: 0 })));
}

/** Header of a chunk from its 48 bytes; every count is within `limits.ts`. */
export function decodeChunkHeader(bytes: Uint8Array, place: string): ChunkHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = {} as ChunkHeader;
  CHUNK_FIELDS.forEach((name, i) => {
    header[name] = view.getUint32(i * 4, true);
  });
  const bounds: [keyof ChunkHeader, number][] = [
    ['kind', CHUNK_KINDS.length - 1],
    ['stored', MAX_CHUNK_BYTES],
    ['raw', MAX_CHUNK_BYTES],
    ['records', header.kind === 0 ? CHUNK_RECORDS : MAX_CHUNK_BYTES],
    ['events', header.records],
    ['pages', MAX_PAGES],
  ];
  for (const [name, most] of bounds) {
    if (header[name] > most) throw new TraceError(place, `${name} is ${header[name]}, expected at most ${most}`);
  }
  return header;
}

/** The 48 bytes of a chunk's header. */
export function encodeChunkHeader(header: ChunkHeader): Uint8Array {
  const bytes = new Uint8Array(CHUNK_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  CHUNK_FIELDS.forEach((name, i) => {
    view.setUint32(i * 4, header[name], true);
  });
  return bytes;
}

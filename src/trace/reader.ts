import { TraceError } from '../model/errors.ts';
import { type Outcome, SCHEDULED_EVENTS, type TraceMeta } from '../model/trace.ts';
import {
  CHUNK_HEADER_BYTES,
  CHUNK_KINDS,
  type Chunk,
  type ChunkHeader,
  type ChunkKind,
  checksum,
  type Decoder,
  decodeChunkHeader,
  decodeOutcomes,
  decodeRecords,
  END_MAGIC,
  HEADER_BYTES,
  MAGIC,
  TRAILER_BYTES,
  VERSION,
} from './format.ts';
import { MetaChecks } from './meta.ts';

/** The bytes of a trace, in any place: a file, or a buffer in a browser. */
export interface ByteSource {
  readonly size: number;
  read(offset: number, length: number): Uint8Array;
}

/** An open trace. Chunks and outcomes are separate on purpose: who replays never sees outcomes. */
export interface Trace {
  readonly meta: TraceMeta;
  /** Records, chunk by chunk; each is checked as it is read. */
  chunks(): Generator<Chunk>;
  outcomes(): Generator<Outcome[]>;
}

/** The same trace; `onRecords` is told of the records that have been read, chunk by chunk. */
export function watchedTrace(trace: Trace, onRecords: (records: number) => void): Trace {
  return {
    ...trace,
    *chunks() {
      let records = 0;
      for (const chunk of trace.chunks()) {
        yield chunk;
        records += chunk.records;
        onRecords(records);
      }
    },
  };
}

/** Whether a file begins as a trace does. */
export function isTrace(head: Uint8Array): boolean {
  return text(head.subarray(0, MAGIC.length)) === MAGIC;
}

/** Opens the trace that `source` holds; `name` stands in errors. */
export function openTrace(source: ByteSource, codec: Decoder, name: string): Trace {
  checkEnds(source, name);
  const trailer = view(source.read(source.size - TRAILER_BYTES, TRAILER_BYTES));
  const at = Number(trailer.getBigUint64(0, true));
  if (at < HEADER_BYTES || at > source.size - TRAILER_BYTES - CHUNK_HEADER_BYTES) {
    throw new TraceError(name, `its trailer points to byte ${at}, outside the file`);
  }
  const end = readChunk(source, codec, at, 'meta', `${name}: meta`);
  if (at + CHUNK_HEADER_BYTES + end.header.stored !== source.size - TRAILER_BYTES) {
    throw new TraceError(name, 'has bytes between its meta chunk and its trailer');
  }
  const meta = parseMeta(end.payload, `${name}: meta`);
  checkTotals(source, meta, at, name);
  return {
    meta,
    chunks: () => readRecords(source, codec, meta, at, name),
    outcomes: () => readOutcomes(source, codec, meta, at, name),
  };
}

function checkEnds(source: ByteSource, name: string): void {
  const head = source.read(0, HEADER_BYTES);
  if (!isTrace(head)) throw new TraceError(name, 'is not an iommulator trace');
  if (head.length < HEADER_BYTES) throw new TraceError(name, 'ends inside its header');
  const version = view(head).getUint32(8, true);
  if (version !== VERSION) throw new TraceError(name, `is of format version ${version}, expected ${VERSION}`);
  if (view(head).getUint32(12, true) !== 0) throw new TraceError(name, 'has a header that does not end in 0');
  const tail = source.read(Math.max(0, source.size - END_MAGIC.length), END_MAGIC.length);
  if (text(tail) !== END_MAGIC) throw new TraceError(name, 'is truncated: it does not end with a trailer');
}

function* walk(
  source: ByteSource,
  end: number,
  name: string,
): Generator<{ at: number; header: ChunkHeader; place: string }> {
  let number = 0;
  for (let at = HEADER_BYTES; at < end; number++) {
    const place = `${name}: chunk ${number}`;
    const header = chunkHeader(source, at, place);
    yield { at, header, place };
    at += CHUNK_HEADER_BYTES + header.stored;
    if (at > end) throw new TraceError(place, 'runs past the meta chunk');
  }
}

function* readRecords(
  source: ByteSource,
  codec: Decoder,
  meta: TraceMeta,
  end: number,
  name: string,
): Generator<Chunk> {
  const bounds = { agents: meta.agents.length, spaces: meta.spaces.length, instances: meta.counts.instances };
  let pagesBefore = 0;
  for (const { at, header, place } of walk(source, end, name)) {
    if (CHUNK_KINDS[header.kind] !== 'records') continue;
    if (header.agent >= bounds.agents) throw new TraceError(place, `agent is ${header.agent} of ${bounds.agents}`);
    const { payload } = readChunk(source, codec, at, 'records', place);
    const chunk = decodeRecords(header, payload, { ...bounds, pagesBefore }, place);
    const odd = meta.schedule === undefined && chunk.events.find(({ op }) => SCHEDULED_EVENTS.has(op));
    if (odd) throw new TraceError(place, `has the event ${odd.op}, and the trace no schedule`);
    yield chunk;
    pagesBefore += header.pages;
  }
}

/** Totals of the chunk headers equal those of the meta chunk: no chunk is missing, and the page count can be trusted. */
function checkTotals(source: ByteSource, meta: TraceMeta, end: number, name: string): void {
  const sums = { records: 0, events: 0, pages: 0, fetches: 0, datas: 0, straddledFetches: 0, straddledDatas: 0 };
  const keys = Object.keys(sums) as (keyof typeof sums)[];
  for (const { header } of walk(source, end, name)) {
    if (CHUNK_KINDS[header.kind] === 'records') for (const key of keys) sums[key] += header[key];
  }
  for (const key of keys) {
    if (sums[key] !== meta.counts[key]) {
      throw new TraceError(name, `has ${sums[key]} ${key}, its meta chunk says ${meta.counts[key]}`);
    }
  }
}

function* readOutcomes(
  source: ByteSource,
  codec: Decoder,
  meta: TraceMeta,
  end: number,
  name: string,
): Generator<Outcome[]> {
  for (const { at, header, place } of walk(source, end, name)) {
    if (CHUNK_KINDS[header.kind] !== 'outcomes') continue;
    const { payload } = readChunk(source, codec, at, 'outcomes', place);
    yield decodeOutcomes(header.records, payload, meta.counts.records, place);
  }
}

function chunkHeader(source: ByteSource, at: number, place: string): ChunkHeader {
  const bytes = source.read(at, CHUNK_HEADER_BYTES);
  if (bytes.length < CHUNK_HEADER_BYTES) throw new TraceError(place, 'ends inside its header');
  return decodeChunkHeader(bytes, place);
}

function readChunk(source: ByteSource, codec: Decoder, at: number, kind: ChunkKind, place: string) {
  const header = chunkHeader(source, at, place);
  if (CHUNK_KINDS[header.kind] !== kind)
    throw new TraceError(place, `is ${CHUNK_KINDS[header.kind]}, expected ${kind}`);
  const stored = source.read(at + CHUNK_HEADER_BYTES, header.stored);
  if (stored.length < header.stored) throw new TraceError(place, 'is cut short');
  let payload: Uint8Array;
  try {
    payload = codec.decompress(stored, header.raw);
  } catch (error) {
    throw new TraceError(place, `cannot be decompressed: ${(error as Error).message}`);
  }
  const crc = checksum(header, payload, codec);
  if (crc !== header.crc) {
    throw new TraceError(place, `has checksum ${crc.toString(16)}, its header says ${header.crc.toString(16)}`);
  }
  return { header, payload };
}

function parseMeta(payload: Uint8Array, place: string): TraceMeta {
  let value: unknown;
  try {
    value = JSON.parse(text(payload));
  } catch {
    throw new TraceError(place, 'is not JSON');
  }
  return new MetaChecks(place).meta(value);
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

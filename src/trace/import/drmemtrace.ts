import { TraceError } from '../../model/errors.ts';
import { MAX_AGENTS } from '../../model/limits.ts';
import { headOf, type Input } from '../input.ts';
import { FETCH, READ, type TraceWriter, WRITE } from '../writer.ts';
import { INFERRED } from './accesses.ts';
import { MAX_SIZE, NO_PAGE, pageOf, pagesBehind } from './address.ts';
import { type Layout, plausibleShare, RecordStream, type Window } from './binary.ts';
import { ACCEPTED, type Fate, type Importer, type ImportOptions, ignored, rejected, Tally } from './importer.ts';

/**
 * DynamoRIO's final ("trace") format: packed records of u16 type, u16 size, u64 address, a file per thread or core
 * (clients/drcachesim/common/trace_entry.h). A 32-bit build writes u32 addresses.
 *
 *    0       2       4                       12
 *    type    size    address, or a marker's value
 */
const SIZE = 12;

/** Types of records. */
const T = {
  read: 0,
  write: 1,
  firstPrefetch: 2,
  lastPrefetch: 9,
  firstInstruction: 10,
  lastInstruction: 16,
  bundle: 17,
  firstFlush: 18,
  lastFlush: 21,
  thread: 22,
  threadExit: 23,
  pid: 24,
  header: 25,
  footer: 26,
  hardwarePrefetch: 27,
  marker: 28,
  notFetched: 29,
  maybeFetched: 30,
  sysenter: 31,
  firstHint: 32,
  encoding: 47,
  takenJump: 48,
  untakenJump: 49,
} as const;

/** Kinds of markers: the size of the record. */
const M = { timestamp: 2, filetype: 9, window: 14, physical: 15, notAvailable: 16, virtual: 17, pageSize: 18 } as const;
/** Markers end here; users' own begin behind 100. */
const MOST_MARKERS = 0x1000;

/** Bits of the file type, with what is missing where they are set. */
const REFUSED: readonly (readonly [bit: number, why: string])[] = [
  [0x4, 'holds instructions only: record without -instr_only_trace, or with data addresses'],
  [0x80, 'was filtered by an instruction cache: what hit there is missing; record without -L0I_filter'],
  [0x100, 'was filtered by a data cache: what hit there is missing; record without -L0D_filter'],
  [0x1, 'was filtered by a cache: what hit there is missing; record without -L0_filter'],
];
const REGDEPS = 0x2_0000;

const PAGE_BYTES = 4096;
/** Bytes of one instruction, and lengths in one bundle. */
const MAX_INSTRUCTION = 16;

const PREFETCH = ignored('prefetch');
const FLUSH = ignored('cache flush');
const FRAME = ignored('begin or end of a file, thread or process');
const MARKER = ignored('marker');
const ENCODING = ignored('encoding of an instruction');
const NOT_FETCHED = ignored('instruction that is not fetched again');
const NO_RECORD = 'a record of a known type at a canonical address';
const TOO_FAR = rejected(`an access of 1 to ${MAX_SIZE} bytes at a canonical address`);

/** DynamoRIO drmemtrace, as recorded offline and converted by raw2trace. */
export const drmemtrace: Importer = {
  name: 'drmemtrace',
  summary: "DynamoRIO drmemtrace's final format (raw, gzip, zip), a file or a folder of threads",
  source: 'DynamoRIO clients/drcachesim/common/trace_entry.h',
  folders: true,

  sniff(head) {
    // A file begins with its header; the version is small.
    const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
    if (head.length < 2 * SIZE || view.getUint16(0, true) !== T.header) return false;
    const version = view.getUint32(4, true) + view.getUint32(8, true);
    return version > 0 && version < 100 && plausibleShare(LAYOUT, head) > 0.9;
  },

  async read(input, out, options) {
    const { threads, others } = await threadsOf(input);
    const people = new People(out);
    const files = threads.map((part) => new ThreadFile(part.file, out, people));
    const tally = await merge(threads, files, options, input.file);
    return { tally: tally.finish(), inferred: inferred(files, people.threads, others) };
  },
};

function isInstruction(type: number): boolean {
  const jump = type === T.takenJump || type === T.untakenJump || type === T.sysenter;
  return jump || (type >= T.firstInstruction && type <= T.lastInstruction);
}

/** Largest size by type: where bytes were lost, what looks like a record seldom has a size that fits. */
const MOST = Array.from({ length: T.untakenJump + 1 }, (_, type) => {
  if (type <= T.write) return MAX_SIZE / 16;
  if (isInstruction(type) || type === T.notFetched || type === T.maybeFetched) return MAX_INSTRUCTION;
  if (type >= T.firstFlush && type <= T.lastFlush) return MAX_SIZE;
  return type <= T.lastPrefetch || type === T.hardwarePrefetch || type >= T.firstHint ? 64 : 8;
});

/** Checks of one record. */
const LAYOUT: Layout = {
  size: SIZE,
  expected: NO_RECORD,
  plausible({ bytes, view }, at) {
    const type = bytes[at]! | (bytes[at + 1]! << 8);
    const size = bytes[at + 2]! | (bytes[at + 3]! << 8);
    if (type === T.marker) return size < MOST_MARKERS;
    if (type > T.untakenJump || size > MOST[type]!) return false;
    if (type >= T.thread || type === T.bundle) return isInstruction(type) ? size > 0 : true;
    return pageOf(view.getUint32(at + 4, true), view.getUint32(at + 8, true)) !== NO_PAGE;
  },
  take: () => ACCEPTED,
};

/** The files of a folder that are of this format; schedules and mappings lie beside them. */
async function threadsOf(input: Input): Promise<{ threads: readonly Input[]; others: number }> {
  if (!input.parts) return { threads: [input], others: 0 };
  const threads: Input[] = [];
  for (const part of input.parts) if (drmemtrace.sniff(await headOf(part))) threads.push(part);
  if (threads.length > MAX_AGENTS)
    throw new TraceError(input.file, `holds ${threads.length} threads, expected at most ${MAX_AGENTS}`);
  return { threads, others: input.parts.length - threads.length };
}

/** Reads whichever file has the oldest time stamp up to its next one. */
async function merge(
  inputs: readonly Input[],
  files: readonly ThreadFile[],
  options: ImportOptions,
  name: string,
): Promise<Tally> {
  const tally = new Tally(name, options, 'record');
  const streams = inputs.map((input, i) => new RecordStream(input, tally, files[i]!));
  try {
    const live = new Set(files.keys());
    while (live.size > 0) {
      let oldest = -1;
      for (const i of live) if (oldest < 0 || files[i]!.time < files[oldest]!.time) oldest = i;
      if (!(await streams[oldest]!.run())) live.delete(oldest);
    }
  } finally {
    for (const stream of streams) await stream.close();
  }
  return tally;
}

function inferred(files: readonly ThreadFile[], threads: number, others: number): string[] {
  const sum = (of: (file: ThreadFile) => number): number => files.reduce((total, file) => total + of(file), 0);
  const sentences: string[] = [
    `Threads (${threads} of them) are agents; between time stamps each runs by itself.`,
    INFERRED.changes,
    'Time stamps order threads; they are no think time.',
  ];
  if (files.length > 1) sentences.push(`${files.length} files were merged by their time stamps.`);
  if (others > 0) sentences.push(`${others} files of the folder are of another format and were not read.`);
  const pages = new Set(files.flatMap((file) => (file.pageSize === 0 ? [] : [file.pageSize])));
  for (const bytes of pages)
    if (bytes !== PAGE_BYTES) sentences.push(`The recorded system had pages of ${bytes} bytes; here they have 4096.`);
  const [physical, missing] = [sum((file) => file.physical), sum((file) => file.notAvailable)];
  if (physical + missing > 0)
    sentences.push(
      `Physical addresses of pages (${physical} known, ${missing} not available) are not used: accesses are virtual.`,
    );
  const windows = sum((file) => file.windows);
  if (windows > 0) sentences.push(`The recording is ${windows} windows: what lay between them is missing.`);
  if (files.some((file) => file.regdeps))
    sentences.push('Instructions are of the synthetic DR_ISA_REGDEPS: their lengths are not those of the program.');
  return sentences;
}

/** One file: records in, accesses out, a pause at each time stamp. */
class ThreadFile implements Layout {
  readonly size = SIZE;
  readonly expected = NO_RECORD;
  readonly plausible = LAYOUT.plausible;
  /** The last time stamp: microseconds since 1601. */
  time = 0;
  pageSize = 0;
  physical = 0;
  notAvailable = 0;
  windows = 0;
  regdeps = false;
  private stamped = false;
  private tid = 0;
  private pid = 0;
  private agent = -1;
  /** Place behind the last instruction, for bundles. */
  private next = { low: 0, high: 0 };

  constructor(
    private readonly file: string,
    private readonly out: TraceWriter,
    private readonly people: People,
  ) {}

  paused(): boolean {
    const { stamped } = this;
    this.stamped = false;
    return stamped;
  }

  take(window: Window, at: number): Fate {
    const { bytes, view } = window;
    const type = bytes[at]! | (bytes[at + 1]! << 8);
    const size = bytes[at + 2]! | (bytes[at + 3]! << 8);
    const low = view.getUint32(at + 4, true);
    const high = view.getUint32(at + 8, true);
    if (type <= T.write) return this.access(type === T.write ? WRITE : READ, low, high, size);
    if (isInstruction(type)) return this.instruction(low, high, size);
    if (type === T.encoding) return ENCODING;
    if (type === T.marker) return this.marker(size, low, high);
    if (type === T.bundle) return this.bundle(window, at + 4, size);
    if (type === T.notFetched || type === T.maybeFetched) return NOT_FETCHED;
    if (type >= T.firstFlush && type <= T.lastFlush) return FLUSH;
    if (type === T.thread || type === T.pid) {
      if (type === T.thread) this.tid = low;
      else this.pid = low;
      this.agent = -1;
      return FRAME;
    }
    return type === T.threadExit || type === T.header || type === T.footer ? FRAME : PREFETCH;
  }

  private access(kind: number, low: number, high: number, size: number): Fate {
    const page = pageOf(low, high);
    const more = pagesBehind({ page, offset: low & 0xfff }, size);
    if (more === NO_PAGE) return TOO_FAR;
    if (this.agent < 0) this.agent = this.people.agent(this.pid, this.tid);
    this.out.touch(this.agent, kind, page, more);
    return ACCEPTED;
  }

  private instruction(low: number, high: number, size: number): Fate {
    const end = low + size;
    this.next = { low: end >>> 0, high: end > 0xffff_ffff ? (high + 1) >>> 0 : high };
    return this.access(FETCH, low, high, size);
  }

  /** Instructions behind the last one: a length each. */
  private bundle({ bytes }: Window, at: number, count: number): Fate {
    if (count === 0 || count > 8) return rejected('a bundle of 1 to 8 instructions');
    for (let i = 0; i < count; i++) {
      const length = bytes[at + i]!;
      if (length === 0 || length > MAX_INSTRUCTION) return rejected('instructions of 1 to 16 bytes');
      const { low, high } = this.next;
      const fate = this.instruction(low, high, length);
      if (fate !== ACCEPTED) return fate;
    }
    return ACCEPTED;
  }

  private marker(kind: number, low: number, high: number): Fate {
    if (kind === M.timestamp) {
      this.time = high * 2 ** 32 + low;
      this.stamped = true;
    } else if (kind === M.filetype) this.check(low);
    else if (kind === M.pageSize) this.pageSize = low;
    else if (kind === M.physical) this.physical++;
    else if (kind === M.notAvailable) this.notAvailable++;
    else if (kind === M.window) this.windows++;
    return MARKER;
  }

  private check(type: number): void {
    const refused = REFUSED.find(([bit]) => (type & bit) !== 0);
    if (refused) throw new TraceError(this.file, refused[1]);
    this.regdeps = (type & REGDEPS) !== 0;
  }
}

/** Who there is in all files: a thread may be in several, and come back. */
class People {
  private readonly spaces = new Map<number, number>();
  private readonly agents = new Map<string, number>();

  constructor(private readonly out: TraceWriter) {}

  get threads(): number {
    return this.agents.size;
  }

  agent(pid: number, tid: number): number {
    const key = `${pid}:${tid}`;
    const known = this.agents.get(key);
    if (known !== undefined) return known;
    const made = this.out.agent(`thread ${tid}`, 'cpu', this.space(pid));
    this.agents.set(key, made);
    return made;
  }

  private space(pid: number): number {
    const known = this.spaces.get(pid);
    if (known !== undefined) return known;
    const made = this.out.space(pid === 0 ? 'mm' : `process ${pid}`, 'mm');
    this.spaces.set(pid, made);
    return made;
  }
}

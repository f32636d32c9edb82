import type { Input } from '../input.ts';
import { ACCEPTED, type Fate, type ImportOptions, ignored, Tally } from './importer.ts';

/** Binary formats of records of one size, without headers or marks between them. */

/** The bytes in hand, and the same as 32-bit words: a record of whole words begins at a word. */
export interface Window {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly view: DataView;
}

/** How records of a format are told and read. */
export interface Layout {
  /** Bytes of a record. */
  readonly size: number;
  /** What a rejected record was expected to be. */
  readonly expected: string;
  /** Whether a record can begin at byte `at`. Cheap, never throws. */
  plausible(window: Window, at: number): boolean;
  /** Takes the record at byte `at`, which is plausible. */
  take(window: Window, at: number): Fate;
  /** Asked behind each record: whether another file comes first now. */
  paused?(): boolean;
}

const WINDOW = 1 << 20;
/** Records that have to be plausible, one behind the other, to begin anew where one was not. */
const AGREEING = 4;
/** Records that are looked at for that. */
const COMPARED = 32;

const CUT = ignored('record cut off by the end of the file');

/** A window on bytes of any alignment. */
export function windowOn(bytes: Uint8Array): Window {
  const copy = new Uint8Array(Math.ceil(bytes.length / 8) * 8);
  copy.set(bytes);
  return { bytes: copy, words: new Uint32Array(copy.buffer), view: new DataView(copy.buffer) };
}

/** Share of the first records, at most 1,000, that are plausible; 0 if there is no whole one. */
export function plausibleShare({ size, plausible }: Layout, head: Uint8Array): number {
  const window = windowOn(head);
  const records = Math.min(1000, Math.floor(head.length / size));
  let found = 0;
  for (let i = 0; i < records; i++) if (plausible(window, i * size)) found++;
  return records === 0 ? 0 : found / records;
}

/** Reads the records of a file to the end. */
export async function readRecords(input: Input, options: ImportOptions, layout: Layout): Promise<Tally> {
  const tally = new Tally(input.file, options, 'record');
  await new RecordStream(input, tally, layout).run();
  return tally;
}

/**
 * The records of one file. Where one is not plausible, the next place within two records from which some agree is looked
 * for, byte by byte, so that missing or added bytes cost a few records and not the rest.
 */
export class RecordStream {
  private readonly window = windowOn(new Uint8Array(WINDOW));
  private readonly blocks: AsyncIterator<Uint8Array>;
  private rest: Uint8Array = new Uint8Array(0);
  /** Bytes of the window that are taken, and that are there. */
  private at = 0;
  private filled = 0;
  private ended = false;

  constructor(
    input: Input,
    private readonly tally: Tally,
    private readonly layout: Layout,
  ) {
    this.blocks = input.blocks()[Symbol.asyncIterator]();
  }

  /** Takes records to the end, or until the layout pauses; whether there are more. */
  async run(): Promise<boolean> {
    const ahead = (COMPARED + 3) * this.layout.size;
    for (;;) {
      if (this.drain(this.ended ? 0 : ahead)) return true;
      if (this.ended) break;
      if (this.rest.length === 0) await this.next();
      this.compact();
      const part = this.rest.subarray(0, WINDOW - this.filled);
      this.window.bytes.set(part, this.filled);
      this.filled += part.length;
      this.rest = this.rest.subarray(part.length);
    }
    if (this.filled > this.at) this.tally.take('', CUT);
    this.at = this.filled;
    return false;
  }

  /** Stops reading. */
  async close(): Promise<void> {
    await this.blocks.return?.();
  }

  private async next(): Promise<void> {
    const { done, value } = await this.blocks.next();
    if (done) this.ended = true;
    else this.rest = value;
  }

  /** What is not taken moves to the front of the window. */
  private compact(): void {
    this.window.bytes.copyWithin(0, this.at, this.filled);
    this.filled -= this.at;
    this.at = 0;
  }

  /** Takes the records that have `reserve` bytes behind them; whether the layout paused. */
  private drain(reserve: number): boolean {
    const { layout, window, tally } = this;
    const { size } = layout;
    const pauses = layout.paused !== undefined;
    while (this.at + size + reserve <= this.filled) {
      const { at } = this;
      if (layout.plausible(window, at)) {
        this.at += size;
        const fate = layout.take(window, at);
        tally.lines++;
        if (fate === ACCEPTED) tally.accepted++;
        else if (fate.fate === 'ignored') tally.ignore(fate.reason);
        else tally.reject(tally.lines, shown(window, at, size), fate.reason);
        if (pauses && layout.paused?.()) return true;
        continue;
      }
      tally.reject(++tally.lines, shown(window, at, size), layout.expected);
      this.at += resume(layout, window, at, this.filled);
      // Records begin at words again.
      if (this.at % 4 !== 0) this.compact();
    }
    return false;
  }
}

/**
 * How many bytes behind `at` to go on: to where most records agree. A record, if nowhere more do than there: damage seldom
 * loses bytes, and zeros look like anything.
 */
function resume({ size, plausible }: Layout, window: Window, at: number, filled: number): number {
  const most = Math.min(COMPARED, Math.floor((filled - at) / size) - 2);
  const agreeing = (skip: number): number => {
    let n = 0;
    while (n < most && plausible(window, at + skip + n * size)) n++;
    return n;
  };
  let best = size;
  let found = Math.max(agreeing(size), AGREEING - 1);
  for (let skip = 1; skip <= 2 * size && found < most; skip++) {
    const n = agreeing(skip);
    if (n > found) [best, found] = [skip, n];
  }
  return best;
}

function shown({ bytes }: Window, at: number, size: number): string {
  return Array.from(bytes.subarray(at, at + Math.min(size, 24)), (byte) => byte.toString(16).padStart(2, '0')).join(
    ' ',
  );
}

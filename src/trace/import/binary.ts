import type { Input } from '../input.ts';
import { type Fate, type ImportOptions, ignored, Tally } from './importer.ts';

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
}

const WINDOW = 1 << 20;
/** Records that have to be plausible, one behind the other, to begin anew where one was not. */
const AGREEING = 4;

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

/**
 * Reads records to the end. Where one is not plausible, the next place within two records from which some agree is looked
 * for, byte by byte, so that missing or added bytes cost a few records and not the rest.
 */
export async function readRecords(input: Input, options: ImportOptions, layout: Layout): Promise<Tally> {
  const tally = new Tally(input.file, options, 'record');
  const { size } = layout;
  const window = windowOn(new Uint8Array(WINDOW));
  const ahead = (AGREEING + 3) * size;
  let filled = 0;
  const compact = (at: number): void => {
    window.bytes.copyWithin(0, at, filled);
    filled -= at;
  };
  /** Takes the records that have `reserve` bytes behind them; what is left moves to the front. */
  const drain = (reserve: number): void => {
    let at = 0;
    while (at + size + reserve <= filled) {
      if (layout.plausible(window, at)) {
        const { fate, reason } = layout.take(window, at);
        tally.lines++;
        if (fate === 'accepted') tally.accepted++;
        else if (fate === 'ignored') tally.ignore(reason);
        else tally.reject(tally.lines, shown(window, at, size), reason);
        at += size;
        continue;
      }
      tally.reject(++tally.lines, shown(window, at, size), layout.expected);
      at += resume(layout, window, at, filled);
      if (at % 4 === 0) continue;
      // Records begin at words again.
      compact(at);
      at = 0;
    }
    compact(at);
  };
  for await (const block of input.blocks()) {
    for (let from = 0; from < block.length; ) {
      const part = block.subarray(from, from + WINDOW - filled);
      window.bytes.set(part, filled);
      filled += part.length;
      from += part.length;
      drain(ahead);
    }
  }
  drain(0);
  if (filled > 0) tally.take('', CUT);
  return tally;
}

/** How many bytes behind `at` to go on. */
function resume({ size, plausible }: Layout, window: Window, at: number, filled: number): number {
  for (let skip = 1; skip <= 2 * size; skip++) {
    let agree = 0;
    while (agree < AGREEING && at + skip + (agree + 1) * size <= filled && plausible(window, at + skip + agree * size))
      agree++;
    if (agree === AGREEING) return skip;
  }
  return size;
}

function shown({ bytes }: Window, at: number, size: number): string {
  return Array.from(bytes.subarray(at, at + Math.min(size, 24)), (byte) => byte.toString(16).padStart(2, '0')).join(
    ' ',
  );
}

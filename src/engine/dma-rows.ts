import type { Numbers } from './encode.ts';

/** Kinds of rows, as assembly/recording.ts has them. */
const OPS = ['MAP', 'UNMAP', 'ACCESS', 'RAW'] as const;
export type RowOp = (typeof OPS)[number];

/** u32 words of a row: two times of two words each, the kind and the row's number, three values. */
const WORDS = 8;
const OP = 4;
const SECOND = 6;

/** The rows of one actor of a DMA recording, in its program order, as the engine reads them: columns, no objects. */
export class DmaRows {
  length = 0;
  private words = new Uint32Array(64 * WORDS);
  /** The same memory. */
  private times = new Float64Array(this.words.buffer);
  /** Number in the trace of each row. */
  private origins = new Uint32Array(64);

  /** Adds a row; returns which it is. Times in ps. */
  push(origin: number, op: RowOp, think: number, time: number, a: number, b: number, c: number): number {
    const row = this.length++;
    if (row === this.origins.length) this.grow();
    const at = row * WORDS;
    this.times[at / 2] = think;
    this.times[at / 2 + 1] = time;
    this.words[at + OP] = OPS.indexOf(op);
    this.words[at + OP + 1] = a;
    this.words[at + SECOND] = b;
    this.words[at + SECOND + 1] = c;
    this.origins[row] = origin;
    return row;
  }

  private grow(): void {
    const { words, origins } = this;
    this.words = new Uint32Array(words.length * 2);
    this.words.set(words);
    this.times = new Float64Array(this.words.buffer);
    this.origins = new Uint32Array(origins.length * 2);
    this.origins.set(origins);
  }

  /** Of a map: its IOVA allocation has so many pages more. */
  widen(row: number, pages: number): void {
    this.words[row * WORDS + SECOND]! += pages;
  }

  origin(row: number): number {
    return this.origins[row]!;
  }

  /** The rows as the engine reads them: kinds as it numbers them, and above them the rows' numbers from `first` on. */
  encode(first: number, numbers: Numbers): Uint32Array {
    const rows = this.words.slice(0, this.length * WORDS);
    const ops = OPS.map((op) => numbers(`RECORD_${op}`));
    const bits = numbers('KIND_BITS');
    for (let row = 0; row < this.length; row++) {
      const at = row * WORDS + OP;
      rows[at] = ops[rows[at]!]! | ((first + row) << bits);
    }
    return rows;
  }
}
